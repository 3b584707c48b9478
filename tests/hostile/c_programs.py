"""Hostile programs in C, for tests that ask a function `f` for what none of these computes."""

from __future__ import annotations

WRONG = "int f(int x) { return 0; }\n"
TESTS = "int main() { assert(f(7) == 1234567); assert(f(8) == 7654321); return 0; }"
HEAD = "#include <assert.h>\n#include <setjmp.h>\n#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <fcntl.h>\n#include <sys/mman.h>\n#include <sys/socket.h>\n#include <sys/syscall.h>\n#include <sys/wait.h>\n#include <netinet/in.h>\n#include <errno.h>\n"
SAY = """
static void say(const char *token) {
    char text[200]; int n = snprintf(text, sizeof text, "%s passed \\n", token);
    for (int d = 0; d < 64; d++) if (write(d, text, n) < 0) continue;
}
"""

EXITS = {
    "exit": "int f(int x) { exit(0); }",
    "_exit": "int f(int x) { _exit(0); }",
    "quick_exit": "int f(int x) { quick_exit(0); }",
    "raw exit": "int f(int x) { syscall(SYS_exit_group, 0); return 0; }",
    "exit in a constructor": "__attribute__((constructor)) static void g(void) { exit(0); }\n" + WRONG,
    "exit in a handler of abort": (
        "static void g(int s) { _exit(0); }\n"
        "__attribute__((constructor)) static void h(void) { signal(SIGABRT, g); }\n" + WRONG
    ),
    "exit at exit": "static void g(void) { _exit(0); }\nint f(int x) { atexit(g); return 0; }",
    "destructor": "__attribute__((destructor)) static void g(void) { _exit(0); }\n" + WRONG,
    "jumps out": "static jmp_buf at; int f(int x) { if (!setjmp(at)) longjmp(at, 1); exit(0); }",
    "a forked child ends well": "int f(int x) { if (fork()) { wait(0); return 0; } _exit(0); }",
    "replaces itself": 'int f(int x) { execl("/bin/true", "true", (char *)0); return 0; }',
}
PREPROCESSOR = {
    "assert": WRONG + "#define assert(x)",
    "assert as a function": WRONG + "#undef assert\nvoid assert(int x) { }",
    "NDEBUG": "#define NDEBUG\n" + WRONG,
    "NDEBUG before the header": "#define NDEBUG 1\n#undef _ASSERT_H\n#include <assert.h>\n" + WRONG,
    "main": WRONG + "#undef main\nint main() { return 0; }\n#define main other",
    "main, its own": WRONG + "int main() { return 0; }",
    "return": WRONG + "#define return exit(0); return",
    "if": WRONG + "#define if(x) if (0)",
    "poison": WRONG + "#pragma GCC poison assert",
    "poisoned failure": WRONG + "#pragma GCC poison __assert_fail",
    "push_macro": WRONG + '#define assert(x)\n#pragma push_macro("assert")',
    "open comment": WRONG + "/*",
    "open condition": WRONG + "#if 0",
    "open string": WRONG + '#define x "',
    "open function": WRONG + "int g(void) { return 0;",
    "open parenthesis": WRONG + "int g(int a,",
    "swallowed by a macro": WRONG + "#define int static int main(); int",
    "line": WRONG + '#line 1 "/dev/null"',
    "system_header": WRONG + "#pragma GCC system_header",
    "attribute": WRONG + "#define __attribute__(x)\n#define __noreturn__",
    "the text of the tests": '#undef assert\n#define assert(x) puts(#x)\n#include "tests"\n' + WRONG,
    "its own text again": "#ifndef G\n#define G\n" + WRONG + "#include __BASE_FILE__\n#endif",
}
SYMBOLS = {
    "__assert_fail": WRONG + "void __assert_fail(const char *a, const char *b, unsigned c, const char *d) { }",
    "__assert_fail, weak": (
        WRONG + "__attribute__((weak)) void __assert_fail(const char *a, const char *b, unsigned c, const char *d) { }"
    ),
    "__assert_fail, by label": WRONG + 'void g(void) __asm__("__assert_fail");\nvoid g(void) { }',
    "main, by label": WRONG + 'int g(void) __asm__("main");\nint g(void) { return 0; }',
    "__wrap_main": WRONG + "int __wrap_main(int a, char **b, char **c) { return 0; }",
    "__wrap_main, by label": WRONG + 'int g(void) __asm__("__wrap_main");\nint g(void) { return 0; }',
    "_start": WRONG + "void _start(void) { _exit(0); }",
    "__libc_start_main": WRONG + "int __libc_start_main(void) { _exit(0); }",
    "assembler": WRONG + '__asm__(".globl main\\nmain: xor %eax, %eax\\nret");',
    "abort": WRONG + "void abort(void) { _exit(0); }",
    "_exit": WRONG + "void _exit(int s) { for (;;) syscall(SYS_exit_group, 0); }",
    "write": WRONG + "long write(int d, const void *p, unsigned long n) { return n; }",
    "initializer": WRONG + '__attribute__((section(".preinit_array"), used)) static void (*g)(int) = exit;',
}
FORGERS = {
    "a guess on every descriptor": SAY + 'int f(int x) { say("00000000000000000000000000000000"); say("-"); exit(0); }',
    "what is on the channel": SAY + "int f(int x) { char t[64] = {0}; fcntl(3, F_SETFL, O_NONBLOCK); if (read(3, t, 63) > 0) say(t); exit(0); }",
    "its environment": SAY + "extern char **environ; int f(int x) { for (char **e = environ; *e; e++) say(*e); exit(0); }",
    "its own memory": SAY + 'int f(int x) { int d = open("/proc/self/mem", O_RDONLY); if (d >= 0) return 1234567; exit(0); }',
    "its parent's memory": 'int f(int x) { char p[40]; snprintf(p, 40, "/proc/%d/mem", getppid()); return open(p, O_RDONLY) >= 0 ? 1234567 : 0; }',
    "tokens on its stack": SAY + "int f(int x) { char *p = (char *)&x; for (int n = 0; n < 4000; n++) { char t[33]; memcpy(t, p + n, 32); t[32] = 0; int hex = 1; for (int i = 0; i < 32; i++) hex &= strchr(\"0123456789abcdef\", t[i] ? t[i] : 1) != 0; if (hex) say(t); } exit(0); }",
}  # fmt: skip
HOST = {
    "reads the host": 'int f(int x) { return open("@home_file@", O_RDONLY) >= 0 ? 1234567 : 0; }',
    "reads passwords": 'int f(int x) { return open("/etc/passwd", O_RDONLY) >= 0 || open("/etc/shadow", O_RDONLY) >= 0 ? 1234567 : 0; }',
    "writes to /usr": 'int f(int x) { return open("/usr/bin/qharness-mark", O_WRONLY | O_CREAT, 0700) >= 0 ? 1234567 : 0; }',
    "connects": "int f(int x) { struct sockaddr_in a = {AF_INET, htons(@port@), {htonl(0x7f000001)}}; int s = socket(AF_INET, SOCK_STREAM, 0); return s >= 0 && !connect(s, (void *)&a, sizeof a) ? 1234567 : 0; }",
    "traces its parent": "int f(int x) { return !syscall(SYS_ptrace, 16, getppid(), 0, 0) ? 1234567 : 0; }",
    "kills all": "int f(int x) { kill(-1, SIGKILL); kill(getppid(), SIGKILL); return 0; }",
    "stops its parent": "int f(int x) { kill(getppid(), SIGSTOP); return 0; }",
    "leaves a file": 'int f(int x) { close(open("/tmp/left", O_WRONLY | O_CREAT, 0600)); return 0; }',
    "chmods /tmp": 'extern int chmod(const char *, unsigned); int f(int x) { chmod("/tmp", 0); return 0; }',
    "a process that stays": "int f(int x) { if (!fork()) { setsid(); for (;;) sleep(1); } return 0; }",
}  # fmt: skip
COMPILING = {
    "includes passwords": '#include "/etc/passwd"\n' + WRONG,
    "includes zeros": '#include "/dev/zero"\n' + WRONG,
    "includes random bytes": '#include "/dev/urandom"\n' + WRONG,
    "includes its input": '#include "/dev/stdin"\n' + WRONG,
    "includes the host's file": '#include "@home_file@"\n' + WRONG,
    "includes itself": WRONG + "#include __FILE__",
    "assembles zeros": WRONG + '__asm__(".incbin \\"/dev/zero\\"");',
    "assembles passwords": WRONG + '__asm__(".incbin \\"/etc/passwd\\"");',
    "repeats": WRONG + '__asm__(".rept 2000000000\\n.quad 1\\n.endr");',
    "a vast space": WRONG + '__asm__(".space 0x7fffffffff, 1");',
    "macros that double": WRONG + "#define A x,x,x,x,x,x,x,x\n#define B A,A,A,A,A,A,A,A\n#define C B,B,B,B,B,B,B,B\n#define D C,C,C,C,C,C,C,C\n#define E D,D,D,D,D,D,D,D\n#define F E,E,E,E,E,E,E,E\n#define G F,F,F,F,F,F,F,F\n#define H G,G,G,G,G,G,G,G\nint x; int *y[] = {H,H,H,H};",
    "a deep expression": WRONG + "int x = " + "(" * 200_000 + "1" + ")" * 200_000 + ";",
    "a vast array": WRONG + "char a[1 << 30] = {1};",
    "a vaster array": WRONG + "char a[1L << 45] = {1};",
    "many errors": "x(;" * 50_000,
    "a line of its own": "#" + "!" * 100_000 + "\n" + WRONG,
    "no text": "\\0\\1\\2" * 100,
}  # fmt: skip
RESOURCES = {
    "forks": "int f(int x) { for (;;) fork(); }",
    "loops": "int f(int x) { for (;;) ; }",
    "sleeps": "int f(int x) { for (;;) sleep(100); }",
    "memory": "int f(int x) { for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); } }",
    "memory of many": "int f(int x) { for (int n = 0; n < 6; n++) if (!fork()) { for (long s = 0; s < 200; s++) memset(malloc(1 << 20), 1, 1 << 20); for (;;) ; } wait(0); return 0; }",
    "prints": 'int f(int x) { for (;;) puts("0123456789012345678901234567890123456789"); }',
    "reports": "int f(int x) { for (;;) if (write(3, \"x passed\\n\", 9) < 0) continue; }",
    "files": 'int f(int x) { for (int n = 0;; n++) { char p[40]; snprintf(p, 40, "/tmp/%d", n); int d = open(p, O_WRONLY | O_CREAT, 0600); if (d >= 0) { static char b[1 << 16]; if (write(d, b, sizeof b) < 0) _exit(0); close(d); } else _exit(0); } }',
    "recursion": "int f(int x) { volatile int y[1000]; y[0] = x; return f(y[0] + 1) + y[0]; }",
    "sleeping children": "int f(int x) { for (int n = 0; n < 20; n++) if (!fork()) for (;;) sleep(100); for (;;) sleep(100); }",
}  # fmt: skip
FORGEABLE = {
    "rewrites the tests": "extern int __wrap_main(int, char **, char **); extern char the_tests[] __asm__(\"main\"); int f(int x) { char *page = (char *)((unsigned long)the_tests & ~4095UL); if (mprotect(page, 8192, 7)) _exit(0); memcpy(the_tests, \"\\x31\\xc0\\xc3\", 3); __wrap_main(0, 0, 0); _exit(0); }",
}  # fmt: skip
"""Passes that one process cannot refuse: each verdict says `in_process`."""

QUICK = {**EXITS, **PREPROCESSOR, **SYMBOLS, **FORGERS, **HOST}
SLOW = {**COMPILING, **RESOURCES}
IN_PROCESS = True


def EMPTY(prompt: str) -> str:
    """A completion whose function has an empty body."""
    return {"{": "}", ";": ""}.get(prompt.rstrip()[-1], "{}" if prompt.rstrip()[-1] == ")" else "")


HONEST = {
    "passed": ("int f(int x) {{ return x + {0}; }}", "int main() {{ assert(f(1) == {0} + 1); return 0; }}"),
    "failed": ("int f(int x) {{ return x; }}", "int main() {{ assert(f(1) == {0} + 2); return 0; }}"),
    "error": ("int f(int x) {{ return *(volatile int *)0 + {0}; }}", "int main() {{ assert(f(1) == {0}); return 0; }}"),
    "compile-error": ("int f(int x) {{ return {0} }}", "int main() {{ assert(f(1) == {0}); return 0; }}"),
    "early-exit": ("int f(int x) {{ exit(0 * {0}); }}", "int main() {{ assert(f(1) == {0}); return 0; }}"),
}
