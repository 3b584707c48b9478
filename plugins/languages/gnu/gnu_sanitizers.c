/* The report of what a sanitizer has found, which ends the program. It follows gnu_report.c; @R@ is its random word.
   The two sanitizers have a run time each: that of undefined behaviour calls a function by its name, that of addresses
   one that it is told. Leaks are none of what is looked for, and signals stay what they are without a sanitizer. */
#ifdef __cplusplus
extern "C" {
#endif
static void found_@R@(const char *what_@R@)
{
    char text_@R@[300] = "- error sanitizer: ";
    long at_@R@ = 19;
    while (*what_@R@ && at_@R@ < 290) {
        text_@R@[at_@R@++] = *what_@R@ == '\n' ? ' ' : *what_@R@;
        what_@R@++;
    }
    text_@R@[at_@R@++] = '\n';
    tell_@R@(text_@R@, at_@R@);
    leave_@R@(1);
}
extern void data_@R@(const char **, const char **, const char **, unsigned *, unsigned *, char **)
    __asm__("__ubsan_get_current_report_data") __attribute__((__weak__));
void undefined_@R@(void) __asm__("__ubsan_on_report");
void undefined_@R@(void)
{
    const char *kind_@R@ = "", *message_@R@ = "", *file_@R@ = "";
    unsigned line_@R@, column_@R@;
    char *address_@R@;
    data_@R@(&kind_@R@, &message_@R@, &file_@R@, &line_@R@, &column_@R@, &address_@R@);
    found_@R@(message_@R@);
}
#ifdef __SANITIZE_ADDRESS__
extern const char *description_@R@(void) __asm__("__asan_get_report_description");
extern void callback_@R@(void (*)(void)) __asm__("__asan_set_death_callback");
static void address_@R@(void) { found_@R@(description_@R@()); }
__attribute__((constructor(101))) static void watch_@R@(void) { callback_@R@(address_@R@); }
const char *options_@R@(void) __asm__("__asan_default_options");
const char *options_@R@(void)
{
    return "detect_leaks=0:handle_segv=0:handle_sigfpe=0:handle_sigbus=0:handle_sigill=0";
}
#endif
#ifdef __cplusplus
}
#endif
