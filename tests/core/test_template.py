import json
import math
import re
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installed import PROMETHEUS
from rollback_guard.core.regex import RegexError, compile_regex
from rollback_guard.core.template import problems, render, syntax_problem, uses_value
from rollback_guard.core.template.format import sprintf

LABELS = {"instance": "web-1.eu.example.com:9090", "path": "/a b&c", "code": "500", "empty": "", "v": "x"}

TEMPLATES = [
    "plain text with 100% and } and {",
    "{{ $value }}",
    "{{ .Value }}",
    "{{ $.Value }}",
    "{{$value}} {{- $value -}} {{$value}}",
    "{{ $value | humanize }}",
    "{{ humanize1024 $value }}",
    "{{ humanizeDuration $value }}",
    "{{ $value | humanizePercentage }}",
    "{{ humanizeTimestamp 1600000000.125 }}",
    "{{ humanizeTimestamp 1600000000.1 }} {{ humanizeTimestamp 0 }} {{ humanizeTimestamp -1.5 }}",
    '{{ printf "%.2f" $value }}',
    '{{ printf "%v %g %e %f %.3g %.0f %6.1f|%-8.1f|%08.2f|%+.1f|% .1f" $value $value $value $value $value $value $value $value $value $value $value }}',
    '{{ $value | printf "%.1f%%" }}',
    '{{ printf "%d %s %q %x %t" $value $value $value $value $value }}',
    '{{ printf "%s %v %q %x %X %5s|%-5s|%.2s" "aü" "b" "c\\"d\\n" "e" "f" "g" "h" "ijk" }}',
    '{{ printf "%d %5d %05d %x %c %q %U %b %o %v %s" 42 42 -42 255 65 65 65 5 8 7 9 }}',
    '{{ printf "%t %v" true false }}',
    '{{ printf "%d" }} {{ printf "%d" 1 2 "x" }} {{ printf "100%" }} {{ printf "%!" }} {{ printf "%z" 1 }}',
    '{{ printf "%v %s" $labels nil }}',
    "{{ $labels.instance }} {{ .Labels.instance }} {{ $.Labels.path }}",
    "[{{ $labels.missing }}] [{{ $labels.empty }}]",
    '{{ index $labels "code" }} {{ index .Labels "missing" }}',
    '{{ len $labels.instance }} {{ len $labels }} {{ len "ü" }}',
    "{{ $labels }}",
    "{{ $externalLabels.region }} {{ .ExternalLabels.missing }}|{{ .ExternalURL }} {{ $externalURL }}",
    '{{ $labels.path | toUpper }} {{ toLower "ÄB" }} {{ title "hello wOrld-of x_y" }}',
    *(('{{ urlQueryEscape "a b&c/ü~-_.+" }}',) if PROMETHEUS >= (3, 8) else ('{{ title "it\'s 1a" }}',)),
    '{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }} {{ stripPort "host" }} {{ stripDomain "10.0.0.1:80" }}',
    '{{ stripPort "[::1]:80" }} {{ stripDomain "[::1]:80" }} {{ stripDomain "a.b.c" }} {{ stripPort "a:b:c" }} {{ stripDomain "a.b:" }}',
    '{{ graphLink "up == 0 and a{b=\\"c\\"}" }} {{ tableLink "rate(a[5m])" }}',
    '{{ if match "^web-[0-9]+\\\\." $labels.instance }}web{{ else }}other{{ end }}',
    '{{ match "a|b" "xbx" }} {{ match "^b" "ab" }} {{ match "(?i)WEB" $labels.instance }}',
    '{{ reReplaceAll "([a-z]+)-([0-9]+)\\\\.(.*)" "$2-${1}!$3$4" $labels.instance }}',
    '{{ reReplaceAll "" "-" "abc" }} {{ reReplaceAll "b*" "X" "abbc" }} {{ reReplaceAll `(?P<first>\\w)\\w*` "${first}." "one two" }}',
    '{{ reReplaceAll `[[:upper:]]+?` "<$0>" "aBCd" }} {{ reReplaceAll `(a|ab)(c|bcd)` "[$1|$2]" "abcd" }} {{ reReplaceAll "x" "$" "axb" }}',
    '{{ reReplaceAll `\\bo|n$` "_" "one on" }} {{ reReplaceAll `a{2,3}?` "_" "aaaaa" }} {{ reReplaceAll "[^a-c]" "." "abcdef-" }}',
    "{{ if gt $value 1.0 }}high{{ else if eq $value 0.0 }}zero{{ else }}low{{ end }}",
    "{{ if and (gt $value 0.5) (lt $value 100.0) }}in{{ else }}out{{ end }}",
    '{{ if or (eq $labels.code "500") (eq $labels.code "502") }}5xx{{ end }}{{ if not $labels.empty }}!{{ end }}',
    '{{ eq $labels.code "1" "500" }} {{ ne 1 2 }} {{ le 1 1 }} {{ ge 1.5 1.5 }} {{ lt "a" "b" }} {{ gt 2 1 }}',
    "{{ ge $value 1.0 }} {{ le $value 1.0 }} {{ eq $value $value }} {{ ne $value $value }} {{ gt $value $value }}",
    '{{ and 1 0 2 }} {{ or 0 "" 3 }} {{ not 1 }} {{ and "a" "b" }} {{ or "" 0 }} {{ if $value }}t{{ end }}',
    "{{ with $labels.code }}code {{ . }}{{ else }}none{{ end }} {{ with $labels.empty }}x{{ else }}empty {{ .Value }}{{ end }}",
    "{{ with $x := $labels.code }}{{ $x }}{{ . }}{{ end }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}",
    "{{ range $k, $v := .Labels }}{{ $k }}={{ $v }};{{ end }}",
    "{{ range .Labels }}[{{ . }}]{{ else }}none{{ end }} {{ range .ExternalLabels }}{{ . }}{{ end }}",
    '{{ range $i, $v := args 1 "b" 2.5 }}{{ if eq $i "arg1" }}{{ continue }}{{ end }}{{ $i }}{{ $v }}{{ end }}',
    "{{ range $v := args 1 2 3 }}{{ if eq $v 2 }}{{ break }}{{ end }}{{ $v }}{{ end }}",
    '{{ (args 1 "a").arg1 }} {{ args 1.0 true }} {{ (args 1).missing }}',
    '{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" $labels.code }}{{ template "x" 1.5 }}',
    '{{ define "y" }}{{ .arg0 }}/{{ .arg1 }}{{ end }}{{ template "y" (args $labels.code $value) }}',
    '{{ block "z" . }}{{ .Labels.code }}{{ end }}',
    '{{ print 1 2 "a" 3 $value true }} {{ println "a" 1 }}|',
    "{{ print nil }} {{ print (print 1 2) }} {{ 1 | print 2 }}",
    "a  {{- /* comment */ -}}  b {{/* another */}}c",
    "  {{- $labels.code }}  {{ $labels.code -}}  x",
    '{{ "quoted \\"text\\" \\u00fc \\x41\\101\\n" }} {{ `raw \\n` }} {{ \'a\' }} {{ 0x10 }} {{ 1e3 }} {{ 017 }} {{ -1.50 }} {{ 1_000 }}',
    '{{ parseDuration "1h30m" }} {{ parseDuration "5ms" }} {{ parseDuration "1d" | humanizeDuration }}',
    '{{ "1234.5" | humanize }} {{ humanize 12345 }} {{ humanize "0x1p4" }} {{ humanize "inf" }} {{ humanize "1e-7" }}',
    "{{ humanizeDuration 59.9999 }} {{ humanizeDuration 3600 }} {{ humanizeDuration 90061.5 }} {{ humanizeDuration -61 }} {{ humanizeDuration 0.0005 }}",
    "{{ humanize 999.96 }} {{ humanize 999999 }} {{ humanize1024 1023.9999 }} {{ humanize1024 1048576 }} {{ humanize 1e30 }} {{ humanize -0.001 }}",
    '{{ safeHtml "<b>" }} {{ html "<b>\'&\\"" }} {{ urlquery "a b&c=ü" }} {{ slice "abcdef" 1 3 }} {{ slice "abc" 1 }}',
    '{{ $labels.code | printf "%s-%v" "k" | toUpper }}',
    "{{ if (eq ($labels.code | toUpper | len) 3) }}three{{ end }}",
    '{{ ($value | humanize | printf "%s%s" "≈") }}{{ (  1  ) }}',
    "{{ .Labels.instance | stripPort | stripDomain | title }}",
    "{{ . }}",
    "{{if $value}}{{end}}x{{\n$value\n}}{{ $value | }}",
]  # fmt: skip

VALUES = {
    "0": 0.0, "1": 1.0, "-1.5": -1.5, "0.0123": 0.0123, "1e9": 1e9, "1234567.891": 1234567.891, "1e-7": 1e-7, "NaN": math.nan,
    "Inf": math.inf, "-Inf": -math.inf, "100000": 100000.0, "123456789012": 123456789012.0,
}  # fmt: skip


def test_promtool_renders_every_template_the_same(tmp_path):
    """Each template becomes an alert's annotation, each value a series of it; promtool compares the whole texts."""
    rules, alert_tests = [], []
    series = [
        {
            "series": "m{" + ",".join(f'{k}="{v}"' for k, v in {**LABELS, "v": text}.items()) + "}",
            "values": f"{text} {text}",
        }
        for text in VALUES
    ]
    for number, template in enumerate(TEMPLATES):
        # Multiplied, for otherwise the metric's name would be among the labels.
        rules.append({"alert": f"A{number}", "expr": "m * 1", "annotations": {"text": template}})
        expected = []
        for text, value in VALUES.items():
            labels = {**LABELS, "v": text, "empty": ""}
            labels.pop("empty")  # Prometheus drops empty labels
            rendered = render(
                template, labels=labels, value=value, external_labels={"region": "eu"},
                external_url="http://prometheus.example.com/some%20path",
            )  # fmt: skip
            assert "error expanding" not in rendered, (template, rendered)
            expected.append({"exp_labels": labels, "exp_annotations": {"text": rendered}})
        alert_tests.append({"alertname": f"A{number}", "eval_time": "1m", "exp_alerts": expected})
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    (tmp_path / "test.yaml").write_text(
        json.dumps({
            "rule_files": ["rules.yaml"],
            "evaluation_interval": "1m",
            "tests": [{
                "interval": "1m",
                "external_labels": {"region": "eu"},
                "external_url": "http://prometheus.example.com/some%20path",
                "input_series": series,
                "alert_rule_test": alert_tests,
            }],
        })
    )  # fmt: skip
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(TEMPLATES) * len(VALUES) > 700


def test_text_without_a_template_is_left_alone():
    assert render("50% of { and }", labels={}, value=1) == "50% of { and }"
    assert problems("50% of { and }") == []
    assert syntax_problem("50% of { and }") is None


def test_the_external_url_is_known():
    text = render(
        "{{ externalURL }} {{ pathPrefix }}", labels={}, value=1, external_url="https://guard.example.com/a%20b"
    )
    assert text == "https://guard.example.com/a%20b /a b"


BROKEN = {
    "{{ $value": "never closed",
    "{{ $value }": 'unexpected "}"',
    "{{ }}": "missing value for command",
    "{{ if }}{{ end }}": "missing value for if",
    "{{ if $value }}": "has no {{end}}",
    "{{ end }}": "unexpected {{end}}",
    "{{ else }}": "unexpected {{else}}",
    "{{ if 1 }}{{ else }}{{ else }}{{ end }}": "has no {{end}}",
    "{{ foo }}": 'function "foo" not defined',
    "{{ $foo }}": 'undefined variable "$foo"',
    "{{ $values }}": 'undefined variable "$values"',
    "{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}": 'undefined variable "$x"',
    '{{ define "x" }}{{ $value }}{{ end }}': 'undefined variable "$value"',
    '{{ "abc }}': "never closed",
    '{{ "\\q" }}': "unknown escape",
    "{{ /* c */ }}": 'unexpected "/"',
    "{{/* c */ 1}}": "a comment ends before its action",
    "{{ $value$value }}": "bad character",
    "{{ $value | 5 }}": "can not be called",
    "{{ $value | | print }}": "a command of a pipeline is missing",
    "{{ | print }}": "a command of a pipeline is missing",
    "{{ (1 }}": "never closed",
    "{{ 1 ) }}": "at the end of an action",
    '{{ "a""b" }}': "after an operand",
    "{{ 'ab' }}": "malformed character",
    "{{ 08 }}": "bad number",
    "{{ 99999999999999999999 }}": "integer overflow",
    "{{ break }}": "outside of {{range}}",
    "{{ template }}": "needs the name",
    "a\nb\n{{ foo }}": "line 3",
    "{{ if 1 }}" * 50: "inside of each other",
    "{{ " + "(" * 50 + "1" + ")" * 50 + " }}": "inside of each other",
    "{{ $value }}" * 2_000: "longer than",
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_does_not_parse_is_a_problem_and_says_so_where_it_is_shown(text):
    assert BROKEN[text] in syntax_problem(text)
    assert len(problems(text)) == 1
    assert BROKEN[text] in problems(text)[0]
    assert render(text, labels={}, value=1).startswith("<error expanding template: ")


def test_promtool_refuses_what_does_not_parse_too(tmp_path):
    ours = {"{{ $value }}" * 2_000, "{{ if 1 }}" * 50, "{{ " + "(" * 50 + "1" + ")" * 50 + " }}"}
    accepted = []
    for number, text in enumerate(BROKEN.keys() - ours):
        path = tmp_path / f"{number}.yaml"
        rule = {"alert": "A", "expr": "m > 1", "annotations": {"text": text}}
        path.write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
        if subprocess.run(["promtool", "check", "rules", path], capture_output=True).returncode == 0:
            accepted.append(text)
    assert accepted == []


FAILING = {
    "{{ gt $value 5 }}": "write the number with a fraction",
    "{{ if eq $value 0 }}{{ end }}": "incompatible types",
    "{{ eq $labels.code 500 }}": "incompatible types for comparison, string and int",
    "{{ lt true false }}": "invalid type for comparison",
    "{{ eq 1 }}": "missing argument for comparison",
    "{{ $value.x }}": "can't evaluate field x in type float64",
    "{{ .Foo }}": "can't evaluate field Foo",
    "{{ $labels.a.b }}": "can't evaluate field b in type string",
    "{{ toUpper $value }}": "expected string; got float64",
    "{{ $value | printf }}": "expected string; got float64",
    "{{ toUpper }}": "want 1 got 0",
    "{{ humanize 1 2 }}": "want 1 got 2",
    "{{ printf }}": "want at least 1 got 0",
    "{{ and }}": "want at least 1 got 0",
    '{{ humanize "many" }}': "is not a number",
    '{{ humanize "1e999" }}': "out of range",
    "{{ humanize true }}": "can't convert bool",
    "{{ humanizeTimestamp 1e300 }}": "no time",
    '{{ parseDuration "5" }}': "has no unit",
    '{{ match "(" "a" }}': "missing ): (",
    '{{ match "(?=a)" "a" }}': "invalid perl operator",
    "{{ $labels 1 }}": "can't give argument to non-function $labels",
    "{{ nil }}": "nil is not a command",
    "{{ len 5 }}": "len of type int",
    '{{ index "abc" 9 }}': "out of range",
    '{{ slice "abc" 2 1 }}': "out of range",
    "{{ range $value }}{{ end }}": "can't iterate",
    '{{ template "x" }}': "not defined",
    "{{ $x = 1 }}": "undefined variable",
    '{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}': "too deeply",
    '{{ printf "%[1]d" 1 }}': "not supported",
    '{{ printf "%*d" 1 2 }}': "not supported",
    '{{ printf "%5000d" 1 }}': "above 1000",
    '{{ printf "%.99999999999d" 1 }}': "above 1000",
}  # fmt: skip


@pytest.mark.parametrize("text", FAILING)
def test_what_fails_for_every_series_is_a_problem_although_it_parses(text):
    assert syntax_problem(text) is None
    assert len(problems(text)) == 1
    assert FAILING[text] in problems(text)[0]
    rendered = render(text, labels={"code": "500"}, value=1)
    assert rendered.startswith("<error expanding template: ")
    assert rendered.endswith(">")


@pytest.mark.parametrize(
    "text",
    [
        '{{ query "up" | first | value }}',
        '{{ range query "up" }}{{ .Value }}{{ end }}',
        '{{ with query "up" }}x{{ end }}',
    ],
)
def test_templates_do_not_run_queries_and_say_so(text):
    assert syntax_problem(text) is None
    assert problems(text)[0].startswith("template: rollback-guard does not run queries in templates")
    assert render(text, labels={}, value=1) == (
        "<error expanding template: rollback-guard does not run queries in templates>"
    )


def test_other_missing_functions_are_named():
    assert problems("{{ now }}") == ["template: rollback-guard has no function now"]


@pytest.mark.parametrize("text", [*TEMPLATES, "{{ parseDuration $labels.window }}{{ humanize $labels.size }}"])
def test_what_works_has_no_problem(text):
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ $value }}", True), ("{{ .Value }}", True), ("{{ $.Value }}", True), ("{{ if gt $value 1.0 }}a{{ end }}", True),
        ('{{ (printf "%f" $value) }}', True), ("{{ range .Labels }}{{ $value }}{{ end }}", True),
        ("{{ $labels.value }}", False), ("$value", False), ("{{ $labels.x }}", False), ("{{ .Labels.Value }}", False),
        ("{{ $broken", False), ("{{ with $x := $value }}{{ end }}", True), ("{{/* $value */}}", False),
    ],
)  # fmt: skip
def test_a_template_that_reads_the_value_is_recognised(text, expected):
    assert uses_value(text) is expected


def test_work_and_size_are_bounded():
    started = time.perf_counter()
    double = '{{ $x := "abcdefgh" }}' + "{{ $x = print $x $x }}" * 40 + "{{ $x }}"
    branch = "".join(
        f'{{{{ define "t{n}" }}}}{{{{ template "t{n + 1}" }}}}{{{{ template "t{n + 1}" }}}}{{{{ end }}}}'
        for n in range(19)
    )
    many = '{{ define "t19" }}x{{ end }}' + branch + '{{ template "t0" }}'
    slow = '{{ match "(a+)+$" "' + "a" * 5_000 + '!" }}{{ match "(a*)*(a*)*b" "' + "a" * 5_000 + '" }}'
    expected = [
        (double, "more than 65536 characters"),
        (many, "more than 20000 steps"),
        ("{{ if true }}" * 40 + "x" + "{{ end }}" * 40, "x"),
        (slow, "false"),
        ('{{ match "((a{30}){30}){30}" "a" }}', "invalid repetition size"),
        ('{{ match "(?:(?:(?:){1000}){1000}){1000}" "a" }}', "invalid repetition size"),
        ('{{ match "(a?){900}a{900}" "' + "a" * 900 + '" }}', "true"),
    ]
    for text, part in expected:
        assert part in render(text, labels={}, value=1), text[:80]
    assert time.perf_counter() - started < 20


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            ["{{", "}}", "{{-", "-}}", " ", "$value", "$labels", ".Labels", ".x", ".", "|", "(", ")", '"a"', "`", "'", "1",
             "1.5", "if", "else", "end", "range", "with", "define", "template", "printf", '"%d%s%q"', "humanize", ":=", "=", "$x",
             ",", "eq", "and", "nil", "true", "match", "index", "args", "/*", "*/", "\n", "ü", "\x00", "print", "break"]
        ),
        max_size=30,
    ),
    st.floats(),
)  # fmt: skip
def test_rendering_never_raises(parts, value):
    for text in ("".join(parts), "{{ " + " ".join(parts) + " }}"):
        assert isinstance(render(text, labels={"a": "b"}, value=value), str)
        assert isinstance(problems(text), list)
        assert isinstance(uses_value(text), bool)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_form_of_a_number_reads_back_as_the_same(number):
    assert float(sprintf("%v", number)) == number
    assert float.fromhex(sprintf("%x", number)) == number


PATTERN = st.recursive(
    st.sampled_from(["a", "b", "c", ".", r"\w", r"\d", "[ab]", "[^a]", "^", "$", r"\b", "ab", "1", r"\."]),
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("(?:{})".format, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["?", "??", "{2}", "{1,2}"])),
        st.builds("{}{}".format, st.sampled_from(["a", "[ab]", r"\w", ".", "(?:ab)"]), st.sampled_from(["*", "+", "*?", "+?", "{2,}"])),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(PATTERN, st.text(alphabet="abc1. ", max_size=12))
def test_matching_agrees_with_pythons_engine_where_their_syntax_is_the_same(pattern, text):
    ours = compile_regex(pattern)
    pythons = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    assert ours.found_in(text) is bool(pythons.search(text))
    found = pythons.search(text)
    if found and found.end() > found.start():
        groups = "|".join(f"${{{index}}}" for index in range(pythons.groups + 1))
        first = ours.replace_all(text, "\x01" + groups + "\x02")
        expected = "|".join(found.group(index) or "" for index in range(pythons.groups + 1))
        assert first[found.start() : found.start() + len(expected) + 2] == "\x01" + expected + "\x02"


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\Qa.b\E+", "a.bb", True), (r"\Qa.b\E", "axb", False), ("(?i)ÄB", "äb", True), ("(?s)a.b", "a\nb", True),
        ("a.b", "a\nb", False), ("(?m)^b$", "a\nb\nc", True), ("^b$", "a\nb\nc", False), ("a$", "a\n", False),
        (r"\x{1F600}\x41\101", "😀AA", True), ("[[:alpha:]-]+$", "a-b", True), ("[]a]", "]", True), (r"[\d\-x]", "-", True),
        ("[^[:^digit:]]", "5", True), ("(?U)a+?b", "aab", True), ("(?i:a)b", "AB", False), ("a{,2}", "a{,2}", True),
        (r"\S\s\W\D", "a  b", True), (r"\Bb", "ab", True), ("(?P<x>a)(?<y>b)", "ab", True), ("", "", True),
        (r"[\W]", "a", False), (r"\z", "", True), ("(?i)[a-c]", "B", True), ("(?-i)a", "A", False),
    ],
)  # fmt: skip
def test_the_syntax_is_that_of_re2(pattern, text, found):
    assert compile_regex(pattern).found_in(text) is found


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a)", "[", "[a", "[b-a]", "*", "a**", "a++", "(?=a)", "(?!a)", "(?<=a)", r"\1", r"\p{Nowhere}", r"\y", "a{2,1}",
     "a{1001}", "(?z)", "[[:foo:]]", "\\", r"\x{110000}", "a" * 1_001, "(?"],
)  # fmt: skip
def test_what_is_not_re2_is_refused(pattern):
    with pytest.raises(RegexError):
        compile_regex(pattern)
