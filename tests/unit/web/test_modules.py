"""Many modules as one: what the joining keeps, and what it refuses. (That the result runs, tests/browser shows.)"""

import pytest

from rowbox.api.web.modules import UnknownSyntax, joined


def test_modules_come_before_those_that_import_them_each_once() -> None:
    script = joined(
        "main.js",
        {
            "main.js": 'import { b } from "./views/b.js";\nimport { a as first } from "./a.js";\nb(first);\n',
            "a.js": "// Why a is 1.\nexport const a = 1;\n",
            "views/b.js": 'import { a } from "../a.js";\nexport async function b(x) {\n  return x + a;\n}\n',
            "unused.js": "export const never = 1;\n",
        },
    )
    assert script == (
        "\n// ---- a.js\nconst $a = (() => {\n// Why a is 1.\nconst a = 1;\nreturn { a };\n})();\n"
        "\n// ---- views/b.js\nconst $views_b = (() => {\nconst { a } = $a;\n"
        "async function b(x) {\n  return x + a;\n}\nreturn { b };\n})();\n"
        "\n// ---- main.js\nconst $main = (() => {\nconst { b } = $views_b;\nconst { a: first } = $a;\n"
        "b(first);\n})();\n"
    )


def test_what_the_entry_exports_the_whole_exports() -> None:
    script = joined(
        "c.js",
        {
            "c.js": 'import { a } from "./a.js";\nexport class C {}\nexport function d() {\n  return a;\n}\n',
            "a.js": "export const a = 1;\n",
        },
    )
    assert script.endswith("return { C, d };\n})();\n\nexport const { C, d } = $c;\n")
    assert script.count("export ") == 1


def test_what_is_not_ours_stays_an_import() -> None:
    script = joined(
        "main.js",
        {
            "main.js": 'import { x } from "./views/x.js";\nimport { Client } from "../client/c.js";\nx(Client);\n',
            "views/x.js": 'import { Client as C } from "../../client/c.js";\nexport const x = C;\n',
        },
    )
    assert script.startswith('import * as $client_c from "../client/c.js";\n')
    assert script.count("import ") == 1
    assert "const { Client: C } = $client_c;\n" in script


def test_a_list_of_exports_at_the_end_of_a_minified_module() -> None:
    script = joined("m.js", {"m.js": 'import { h } from "./v.js";\nh();\n', "v.js": "var a=1;export{a as h,b};\n"})
    assert "var a=1;\nreturn { h: a, b };\n" in script


@pytest.mark.parametrize(
    "line",
    [
        "export default 1;",
        'export * from "./a.js";',
        "export let changing = 1;",
        'import all from "./a.js";',
        'import * as all from "./a.js";',
        'import "./a.js";',
    ],
)
def test_syntax_that_it_does_not_know_ends_the_start(line: str) -> None:
    with pytest.raises(UnknownSyntax, match=r"^main\.js: "):
        joined("main.js", {"main.js": f"const one = 1;\n{line}\n", "a.js": ""})


def test_a_circle_is_named() -> None:
    with pytest.raises(ValueError, match=r"a\.js -> b\.js -> a\.js"):
        joined("a.js", {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'})
