"""Every command of docs/administrators.md does what it says, one after the other, by the API of a gateway."""

import re
import shlex
from pathlib import Path

import pytest
from cli_harness import Run

from quantized.administration.roster_file import RosterUnfit, read_roster

GUIDE = (Path(__file__).parents[2] / "docs" / "administrators.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [
    line.partition(" > ")[0]
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("quantized ")
]


@pytest.mark.parametrize("database", ["api"], indirect=True)
def test_the_guide_is_true(run: Run, database: str, folder: Path) -> None:
    people = "id,name\n" + "".join(f"s{n:04}@uni.example,Student {n}\n" for n in range(1, 9))
    (folder / "biology.csv").write_text(people)
    (folder / "lab.csv").write_text(people)
    real: dict[str, str] = {}
    for command in COMMANDS:
        said = command.replace("2027", "2099")  # for whoever runs this then
        for example, meant in real.items():
            said = said.replace(example, meant)
        ran = run(*shlex.split(said)[1:])
        assert ran.status == 0, (command, ran.err)
        if "--license lab --credits" in said:
            key = run("key", "create", "lab", "--json").json
            admin = run("admin-key", "create", "--name", "other", "--json").json
            real = {"sk-quantized-admin-i5U4mT": admin["prefix"], "sk-quantized-Rphz-U": key["prefix"]}
    assert len(COMMANDS) > 15
    for name in ("links.csv", "lab-links.csv"):
        assert len((folder / name).read_text().splitlines()) == 9
    actions = {entry["action"] for entry in run("audit-log", "list", "--limit", "200", "--json").json}
    assert {
        "importRoster",
        "closeRoster",
        "createLink",
        "grantCredits",
        "rotateKey",
        "rotateAdminKey",
    } <= actions


def test_what_it_says_of_refusals_is_what_is_said() -> None:
    told = [line for line in GUIDE.splitlines() if line.startswith("  line ")]
    assert told
    text = "id,credits,expires\na,1,\nb,1,\nc,12x,\nd,1,\ne,1,\nf,1,\ng,1,\nh,1,31/12/2027\n"
    with pytest.raises(RosterUnfit) as refused:
        read_roster(text)
    assert [f"  {mistake}" for mistake in refused.value.mistakes] == told
