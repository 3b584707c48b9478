"""Hostile programs in Go, for tests that ask a function `f` for what none of these computes."""

from __future__ import annotations

HEAD = ""
TESTS = "func TestF(t *testing.T) {\n\tassert := assert.New(t)\n\tassert.Equal(1234567, f(7))\n\tassert.Equal(true, f(8) == 7654321)\n}\n"


def go(body: str, *imports: str) -> str:
    """A file of package main with these imports."""
    listed = "".join(f"\t{each if each.endswith(chr(34)) else chr(34) + each + chr(34)}\n" for each in imports)
    return f'package main\n\nimport (\n\t"testing"\n\t"github.com/stretchr/testify/assert"\n{listed})\n\n{body}\n'


WRONG = "func f(x int) int { return 0 }\n"
SAY = 'func say(w string) { for d := 0; d < 64; d++ { os.NewFile(uintptr(d), "x").WriteString(w + " passed\\n") } }\n'
EXITS = {
    "exit": go("func f(x int) int { os.Exit(0); return 0 }", "os"),
    "exit in init": go("func init() { os.Exit(0) }\n" + WRONG, "os"),
    "exit in a variable": go("var _ = func() int { os.Exit(0); return 0 }()\n" + WRONG, "os"),
    "syscall exit": go("func f(x int) int { syscall.Exit(0); return 0 }", "syscall"),
    "goexit": go("func f(x int) int { runtime.Goexit(); return 0 }", "runtime"),
    "panics": go('func f(x int) int { panic("no") }'),
    "panics with nil": go("func f(x int) int { panic(nil) }"),
    "log.Fatal": go("func f(x int) int { log.Fatal(); return 0 }", "log"),
    "exits from another goroutine": go("func f(x int) int { go os.Exit(0); select {} }", "os"),
    "a deadlock": go("func f(x int) int { var m sync.Mutex; m.Lock(); m.Lock(); return 0 }", "sync"),
    "replaces itself": go('func f(x int) int { syscall.Exec("/bin/true", nil, nil); os.Exit(0); return 0 }', "syscall", "os"),
    "a signal": go("func f(x int) int { syscall.Kill(1, syscall.SIGKILL); return 0 }", "syscall"),
    "the stack": go("func f(x int) int { return f(x+1) + 1 }"),
    "an endless map": go("var m = map[int]int{}\nfunc f(x int) int { go func() { for { m[1]++ } }(); for { m[2]++ } }"),
}  # fmt: skip
TESTING = {
    "no tests run": go('func f(x int) int { flag.Set("test.run", "none"); return 0 }', "flag"),
    "no tests run, in init": go('func init() { testing.Init(); flag.Set("test.run", "none") }\n' + WRONG, "flag"),
    "tests are listed": go('func init() { testing.Init(); flag.Set("test.list", ".*") }\n' + WRONG, "flag"),
    "arguments": go('func init() { os.Args = []string{"x", "-test.run=none"} }\n' + WRONG, "os"),
    "a command line of its own": go('func init() { flag.CommandLine = flag.NewFlagSet("x", flag.ContinueOnError) }\n' + WRONG, "flag"),
    "TestMain": go("func TestMain(m *testing.M) { }\n" + WRONG),
    "main": go("func main() { }\n" + WRONG),
    "main that exits": go("func main() { os.Exit(0) }\n" + WRONG, "os"),
    "another TestF": go("func TestF(t *testing.T) { }\n" + WRONG),
    "an assert of its own": go("type a struct{}\nfunc (a) New(t *testing.T) a { return a{} }\nvar assert a\n" + WRONG),
    "a testing of its own": go("type testing struct{}\n" + WRONG),
    "a main of its own": go("func init() { testing.Main(nil, nil, nil, nil) }\n" + WRONG),
    "runs itself": go("func init() { testing.MainStart(nil, nil, nil, nil, nil).Run() }\n" + WRONG),
    "a benchmark": go("func f(x int) int { testing.Benchmark(func(b *testing.B) { b.SkipNow() }); return 0 }"),
    "open comment": go(WRONG + "/*"),
    "open string": go(WRONG + "var s = `"),
    "open function": go(WRONG + "func g() {"),
    "line directive": go(WRONG + "//line /etc/passwd:1"),
    "build constraint": "//go:build ignore\n\n" + go(WRONG),
    "another package": go(WRONG).replace("package main", "package testing"),
    "imports the harness": go(WRONG, '_ "problem"'),
    "imports package main": go(WRONG, '_ "main"'),
}  # fmt: skip
FORGERS = {
    "a guess on every descriptor": go(SAY + 'func f(x int) int { say("-"); say("token"); os.Exit(0); return 0 }', "os"),
    "what is on the channel": go(SAY + "func f(x int) int { b := make([]byte, 64); syscall.SetNonblock(3, true); n, _ := syscall.Read(3, b); if n > 0 { say(string(b[:n])) }; os.Exit(0); return 0 }", "os", "syscall"),
    "its arguments": go(SAY + "func f(x int) int { for _, a := range append(os.Args, os.Environ()...) { say(a) }; os.Exit(0); return 0 }", "os"),
    "its own memory": go('func f(x int) int { if _, err := os.Open("/proc/self/mem"); err == nil { return 1234567 }; os.Exit(0); return 0 }', "os"),
    "its own file": go('func f(x int) int { if e, err := os.Executable(); err == nil { if _, err := os.Open(e); err == nil { return 1234567 } }; os.Exit(0); return 0 }', "os"),
    "linkname": go("import _ \"unsafe\"\n//go:linkname token main.token\nvar token string\n" + WRONG),
    "linkname without unsafe": go("//go:linkname token main.token\nvar token string\n" + WRONG),
    "cgo": go(WRONG, '"C"'),
    "a plugin": go('func f(x int) int { plugin.Open("x"); return 0 }', "plugin"),
    "a stack trace": go(SAY + "func f(x int) int { say(string(debug.Stack())); os.Exit(0); return 0 }", "os", "runtime/debug"),
    "build information": go(SAY + "func f(x int) int { if i, ok := debug.ReadBuildInfo(); ok { say(i.String()) }; os.Exit(0); return 0 }", "os", "runtime/debug"),
    "claims no pass": go('func f(x int) int { os.NewFile(3, "x").WriteString("- passed \\n- passed\\n"); os.Exit(0); return 0 }', "os"),
}  # fmt: skip
FORGEABLE = {
    "true is false": go("const true = false\n" + "func f(x int) int { if x == 7 { return 1234567 }; return 0 }"),
    "unsafe": go(
        "//go:linkname token main.token\nvar token string\nfunc f(x int) int { _ = unsafe.Pointer(nil);"
        ' os.NewFile(3, "x").WriteString(token + " passed\\n"); os.Exit(0); return 0 }', "unsafe", "os",
    ),
}  # fmt: skip
"""Passes that are not refused: each verdict says `in_process`."""
HOST = {
    "reads the host": go('func f(x int) int { if _, err := os.Open("@home_file@"); err == nil { return 1234567 }; return 0 }', "os"),
    "reads passwords": go('func f(x int) int { if _, err := os.Open("/etc/passwd"); err == nil { return 1234567 }; return 0 }', "os"),
    "writes to the toolchain": go('func f(x int) int { if os.WriteFile(runtime.GOROOT()+"/mark", nil, 0600) == nil { return 1234567 }; return 0 }', "os", "runtime"),
    "connects": go('func f(x int) int { if _, err := net.Dial("tcp", "127.0.0.1:@port@"); err == nil { return 1234567 }; return 0 }', "net"),
    "embeds passwords": go("//go:embed passwd\nvar s string\nfunc f(x int) int { if s != \"\" { return 1234567 }; return 0 }", '_ "embed"'),
    "kills all": go("func f(x int) int { syscall.Kill(-1, syscall.SIGKILL); return 0 }", "syscall"),
    "leaves a file": go('func f(x int) int { os.WriteFile("/tmp/left", nil, 0600); return 0 }', "os"),
    "chmods /tmp": go('func f(x int) int { os.Chmod("/tmp", 0); return 0 }', "os"),
}  # fmt: skip
COMPILING = {
    "a vast constant": go("const c = 1 << 100000\nfunc f(x int) int { return c }"),
    "a vaster constant": go("const c = 1 << 480 << 400 << 300\nvar s = [c]int{}\n" + WRONG),
    "a vast array": go("var a [1 << 40]byte\nfunc f(x int) int { return int(a[x]) }"),
    "a vast array with content": go("var a = [1 << 30]byte{1 << 29: 1}\nfunc f(x int) int { return int(a[x]) }"),
    "a deep expression": go("var c = " + "(" * 100_000 + "1" + ")" * 100_000 + "\n" + WRONG),
    "a recursive type": go("type t [2]t\n" + WRONG),
    "types that double": go("".join(f"type t{n} struct {{ a, b t{n + 1} }}\n" for n in range(60)) + "type t60 int\nvar v t0\n" + WRONG),
    "generics without end": go("type t[a any] struct { x *t[t[a]] }\nvar v t[int]\n" + WRONG),
    "generic functions without end": go("func g[a any](n int, x a) { if n > 0 { g[*a](n-1, &x) } }\nfunc f(x int) int { g(x, 1); return 0 }"),
    "many errors": "package main\n" + "func (\n" * 20_000,
    "no text": "\\0\\1" * 1000,
}  # fmt: skip
RESOURCES = {
    "loops": go("func f(x int) int { for { } }"),
    "sleeps": go("func f(x int) int { time.Sleep(time.Hour); return 0 }", "time"),
    "memory": go("var k [][]byte\nfunc f(x int) int { for { b := make([]byte, 1<<24); for i := range b { b[i] = 1 }; k = append(k, b) } }"),
    "goroutines": go("func f(x int) int { for { go func() { select {} }() } }"),
    "prints": go("func f(x int) int { for { println(\"0123456789012345678901234567890123456789\") } }"),
    "processes": go('func f(x int) int { for { exec.Command("/bin/sleep", "100").Start() } }', "os/exec"),
    "files": go('func f(x int) int { for n := 0; ; n++ { if os.WriteFile("/tmp/"+strconv.Itoa(n), make([]byte, 1<<16), 0600) != nil { os.Exit(0) } } }', "os", "strconv"),
}  # fmt: skip

QUICK = {**EXITS, **TESTING, **FORGERS, **HOST}
SLOW = {**COMPILING, **RESOURCES}
IN_PROCESS = False


def EMPTY(prompt: str) -> str:
    """A completion whose function has an empty body."""
    return "}" if prompt.rstrip().endswith("{") else "{}"


_TEST = "func TestF(t *testing.T) {{\n\tassert.New(t).Equal({0} + 1, f(1))\n}}\n"
HONEST = {
    "passed": (go("func f(x int) int {{ return x + {0} }}"), _TEST),
    "failed": (go("func f(x int) int {{ return x - {0} }}"), _TEST),
    "error": (go('func f(x int) int {{ panic("number {0}") }}'), _TEST),
    "compile-error": (go("func f(x int) int {{ return {0} {0} }}"), _TEST),
    "early-exit": (go("func f(x int) int {{ os.Exit(0 * {0}); return 0 }}", "os"), _TEST),
}
