/* What stands between a solution and its tests, in C and C++: what the solution has redefined for the tests is undone,
   and the report of the tests' end. @R@ is a random word, @HIDDEN@ and @KEY@ are two lists of numbers whose exclusive
   or is the token. */
#undef if
#undef else
#undef while
#undef for
#undef do
#undef return
#undef break
#undef continue
#undef goto
#undef switch
#undef case
#undef default
#undef sizeof
#undef int
#undef char
#undef long
#undef short
#undef float
#undef double
#undef void
#undef unsigned
#undef signed
#undef const
#undef static
#undef extern
#undef inline
#undef struct
#undef union
#undef enum
#undef typedef
#undef volatile
#undef register
#undef auto
#undef main
#undef exit
#undef strcmp
#undef strncmp
#undef strlen
#undef memcmp
#undef fabs
#undef abs
#undef __asm__
#undef __attribute__
#undef __noreturn__
#undef __volatile__
#undef __assert_fail
#undef __builtin_expect
#undef __extension__
#undef NDEBUG
#undef assert
#include <assert.h>
#ifdef __cplusplus
extern "C" {
#endif
static void tell_@R@(const char *text_@R@, long length_@R@)
{
#if defined(__x86_64__)
    long done_@R@;
    __asm__ __volatile__("syscall" : "=a"(done_@R@) : "0"(1L), "D"(3L), "S"(text_@R@), "d"(length_@R@)
                         : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number_@R@ __asm__("x8") = 64;
    register long a_@R@ __asm__("x0") = 3;
    register const char *b_@R@ __asm__("x1") = text_@R@;
    register long c_@R@ __asm__("x2") = length_@R@;
    __asm__ __volatile__("svc 0" : "+r"(a_@R@) : "r"(number_@R@), "r"(b_@R@), "r"(c_@R@) : "memory");
#else
    extern long write(int, const void *, unsigned long);
    write(3, text_@R@, length_@R@);
#endif
}
extern void leave_@R@(int) __asm__("_exit") __attribute__((__noreturn__));
__attribute__((__noreturn__)) void __assert_fail(const char *what, const char *file, unsigned int line,
                                                 const char *function)
#ifdef __cplusplus
    noexcept
#endif
{
    char text_@R@[300] = "- failed assert: ";
    long at_@R@ = 17;
    while (*what && at_@R@ < 290)
        text_@R@[at_@R@++] = *what++;
    text_@R@[at_@R@++] = '\n';
    tell_@R@(text_@R@, at_@R@);
    (void)file, (void)line, (void)function;
    leave_@R@(1);
}
extern int tests_@R@(int, char **, char **) __asm__("main");
int __wrap_main(int count_@R@, char **words_@R@, char **environment_@R@)
{
    if (tests_@R@(count_@R@, words_@R@, environment_@R@)) {
        tell_@R@("- @NONZERO@\n", sizeof "- @NONZERO@\n" - 1);
        return 1;
    }
    static const volatile unsigned char hidden_@R@[] = {@HIDDEN@}, key_@R@[] = {@KEY@};
    char text_@R@[] = "00000000000000000000000000000000 passed \n";
    for (int at_@R@ = 0; at_@R@ < 32; at_@R@++)
        text_@R@[at_@R@] = hidden_@R@[at_@R@] ^ key_@R@[at_@R@];
    tell_@R@(text_@R@, sizeof text_@R@ - 1);
    return 0;
}
#ifdef __cplusplus
}
#endif
