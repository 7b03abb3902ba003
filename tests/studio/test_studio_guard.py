"""Nobody but the browser that has the token, from pages of the studio; and no path outside the folders that were named."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from ganvas.errors import GanvasError
from ganvas.studio.places import Places, Refused, inside

STATIC = Path(__file__).parents[2] / "src" / "ganvas" / "studio" / "static"
OWN = [path for path in sorted(STATIC.rglob("*")) if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts]

ESCAPES = [
    "../outside.txt", "../../outside.txt", "samples/../../../outside.txt", "/etc/passwd", "//etc/passwd", "..\\outside.txt",
    "%2e%2e/outside.txt", "..%2foutside.txt", "%2e%2e%2foutside.txt", "....//outside.txt",
    "samples/..;/outside.txt", "link.txt",
    "linked/outside.txt", ".lock", ".hidden/file.txt", "samples/./../config.yaml", "", ".", "..", "config.yaml\0.png",
    "C:\\Windows\\win.ini", "file:///etc/passwd", "~/.bashrc",
]  # fmt: skip


# Who may ask


@pytest.mark.parametrize(
    "address",
    ["/", "/static/app.js", "/api/about", "/api/runs", "/api/run?name=sine", "/?token=wrong", "/?token=", "/?token=%C3%A9"],
)
def test_nothing_is_served_without_the_token(studio, address: str) -> None:
    answer = studio.stranger.get(address)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_token_becomes_a_cookie_that_scripts_and_other_pages_cannot_use(studio) -> None:
    answer = studio.stranger.get(f"/?token={studio.token}")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and studio.token not in cookie
    assert studio.stranger.get("/api/about").status_code == 200


def test_the_token_is_no_key_but_at_the_door(studio) -> None:
    assert studio.stranger.get(f"/api/about?token={studio.token}").status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:80", "0.0.0.0:8123", "127.0.0.1.evil.example:8123", ""],
)
def test_another_host_name_is_refused_even_with_the_cookie(studio, host: str) -> None:
    """DNS rebinding: a page elsewhere whose name was made to point here."""
    assert studio.client.get("/api/about", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8123"},
        {"x-studio": "1"},
        {"origin": "http://evil.example", "x-studio": "1"},
        {"origin": "http://127.0.0.1:9999", "x-studio": "1"},
        {"origin": "null", "x-studio": "1"},
    ],
)
@pytest.mark.parametrize("name", ["train", "act", "upload?name=a.png", "use", "lesson", "cancel", "animation"])
def test_another_page_can_order_nothing(studio, name: str, headers: dict[str, str]) -> None:
    answer = studio.client.post(f"/api/{name}", content=b'{"data": "patterns"}', headers=headers)
    assert answer.status_code == 403
    assert list(studio.places.own("jobs").iterdir()) == []
    assert list(studio.places.own("uploads").iterdir()) == []


def test_orders_are_no_addresses_to_open(studio) -> None:
    for name in ("train", "act", "use", "cancel", "estimate"):
        assert studio.client.get(f"/api/{name}").status_code == 405


def test_the_server_listens_on_this_machine_alone() -> None:
    from ganvas.studio import server

    assert server.HOST == "127.0.0.1"


# What pages may do


def test_pages_may_run_no_inline_script_and_ask_nobody_else(studio) -> None:
    for address in ("/", "/api/about", "/static/app.js"):
        policy = studio.client.get(address).headers["content-security-policy"]
        assert "unsafe-inline" not in policy and "unsafe-eval" not in policy and "default-src 'none'" in policy
        assert not re.search(r"https?:|\*", policy)
        assert studio.client.get(address).headers["x-content-type-options"] == "nosniff"


def test_pages_need_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_text_stays_text_and_nothing_comes_from_elsewhere(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc", source
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|(src|href)=\"//", source)


def test_vendored_files_have_their_licence() -> None:
    names = {path.name for path in (STATIC / "vendor").iterdir()}
    assert {"README.txt", "uplot-LICENSE.txt"} <= names
    told = (STATIC / "vendor" / "README.txt").read_text()
    assert all(name in told for name in names - {"README.txt"})


def test_the_first_page_is_small(studio) -> None:
    """Everything that Home asks for, what its modules import, and six small pictures of runs: below 300 kB."""
    from ganvas.studio.small import MOST

    assert "few: 6" in (STATIC / "pages" / "home.js").read_text()
    wants = studio.client.get("/api/home").json()["wants"]
    modules, files = [STATIC / "app.js", STATIC / "pages" / "home.js"], {"index.html", "studio.css", "theme.js", "icon.svg"}
    while modules:
        path = modules.pop().resolve()
        if path.relative_to(STATIC).as_posix() not in files:
            files.add(path.relative_to(STATIC).as_posix())
            modules += [
                path.parent / name for name in re.findall(r'^import [^;]* from "([^"]+)"', path.read_text(), re.MULTILINE)
            ]
    assert "parts/dom.js" in files
    files |= {f"data/{want['data'].split(':')[0]}.webp" for want in wants}
    for number in range(20):  # however many runs there are
        shutil.copytree(studio.places.runs / "sine", studio.places.runs / f"sine-{number}")
    few = studio.client.get("/api/runs?few=6")
    assert len(few.json()["runs"]) == 6 and few.json()["count"] == 21 and few.json()["busy"] == 0
    answers = studio.client.get("/api/home").content + few.content + studio.client.get("/api/runs?few=0").content
    assert sum((STATIC / name).stat().st_size for name in files) + len(answers) + 6 * MOST < 300_000


# Paths


@pytest.fixture
def trap(studio, tmp_path: Path) -> Path:
    """Things outside that must not be seen, and links to them inside."""
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    run = studio.places.runs / "sine"
    (run / "link.txt").symlink_to(outside)
    (run / "linked").symlink_to(tmp_path)
    (run / ".hidden").mkdir()
    (run / ".hidden" / "file.txt").write_text("secret")
    (studio.places.runs / "elsewhere").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "config.yaml").write_text("system: gan\n")
    return tmp_path


@pytest.mark.parametrize("name", ESCAPES)
def test_no_file_outside_a_run_is_served(studio, trap: Path, name: str) -> None:
    from urllib.parse import quote

    for given in {quote(name, safe="/."), quote(name, safe=""), name.replace("%", "%25").replace("\0", "%00")}:
        answer = studio.client.get(f"/api/run-file?name=sine&file={given}")
        assert answer.status_code in (400, 404), given
        assert b"secret" not in answer.content and b"root:" not in answer.content


@pytest.mark.parametrize(
    "name", ["..", "../real", "elsewhere", "/etc", "sine/../sine", "sine\0", ".studio", ".studio/jobs", "", "sine/samples"]
)
def test_no_folder_outside_the_runs_is_a_run(studio, trap: Path, name: str) -> None:
    for address in ("run", "uses", "run-file", "picture"):
        answer = studio.client.get(f"/api/{address}", params={"name": name, "file": "config.yaml"})
        assert answer.status_code == 404, address
    assert studio.post("act", {"run": name or "x", "what": "resume"}).status_code == 404
    assert "elsewhere" not in [row["name"] for row in studio.client.get("/api/runs").json()["runs"]]


@pytest.mark.parametrize(
    "address",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/static/vendor/../../api.py",
    ],
)
def test_static_files_are_those_of_the_studio(studio, address: str) -> None:
    assert studio.client.get(address).status_code in (404, 405)


@pytest.mark.parametrize("name", ["../jobs", "0123456789abcdef", "..", "%2e%2e", "/etc", "0123456789ABCDEF", "0" * 16 + "/.."])
def test_results_are_those_of_the_studio(studio, trap: Path, name: str) -> None:
    assert studio.client.get("/api/made-file", params={"made": name, "file": "grid.png"}).status_code == 404
    assert studio.client.get("/api/zip", params={"made": name}).status_code == 404


def test_a_link_among_results_is_neither_served_nor_packed(studio, trap: Path) -> None:
    folder = studio.places.made()
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    (folder / "link.png").symlink_to(trap / "outside.txt")
    assert studio.client.get("/api/made-file", params={"made": folder.name, "file": "link.png"}).status_code == 404
    packed = zipfile.ZipFile(io.BytesIO(studio.client.get("/api/zip", params={"made": folder.name}).content))
    assert packed.namelist() == ["a.png"]


@pytest.mark.parametrize(
    "name", ["/etc", "..", "/", "~", "../outside.txt", "photos/../../outside.txt", "link", "chest/../../outside.txt"]
)
def test_data_is_read_below_its_folders_alone(studio, trap: Path, name: str) -> None:
    data = studio.places.data[0]
    (data / "link").symlink_to(trap)
    given = name if name.startswith(("/", "~")) else str(data / name)
    assert studio.client.get("/api/folders", params={"path": given}).status_code == 404
    for order in ("train", "train-line", "estimate", "data"):
        assert studio.post(order, {"data": given, "system": "gan"}).status_code == 404, order
    assert list(studio.places.own("jobs").iterdir()) == []
    shown = studio.client.get("/api/folders", params={"path": str(data)}).json()["folders"]
    assert [one["name"] for one in shown] == ["photos"]


def test_fields_of_records_are_read_there_too(studio, trap: Path) -> None:
    asked = {"data": str(studio.places.data[0]), "system": "gan", "fields": "photo=/etc,map=/etc"}
    assert studio.post("train", asked).status_code == 404


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", ".hidden", "x" * 200, "a\0b", "--json", "<b>"])
def test_no_run_is_begun_elsewhere(studio, name: str) -> None:
    assert studio.post("train", {"data": "patterns", "system": "gan", "name": name}).status_code == 400
    assert list(studio.places.own("jobs").iterdir()) == []


def test_a_page_can_bring_no_code_and_no_second_data(studio, tmp_path: Path) -> None:
    code = tmp_path / "data" / "evil.py"
    code.write_text("raise SystemExit('ran')")
    assert studio.post("train", {"data": "patterns", "system": str(code)}).status_code == 400
    assert studio.client.get("/api/system", params={"name": str(code)}).status_code == 400
    for run in ({"data": "/etc"}, {"out": "/tmp/x"}, {"config": "/etc/passwd"}, {"resume": "x"}):
        assert studio.post("train", {"data": "patterns", "system": "gan", "run": run}).status_code == 400


def test_words_are_no_way_to_read_files(studio, tmp_path: Path) -> None:
    secret = tmp_path / "outside.txt"
    secret.write_text("secret")
    asked = {"run": "sine", "verb": "sample", "fields": {"caption": {"words": str(secret)}}}
    answer = studio.post("use", asked)
    assert answer.status_code == 400 and "name of a file" in answer.json()["error"]


def test_inputs_are_uploads_by_number(studio, trap: Path) -> None:
    for number in ("/etc/passwd", "../../../outside.txt", "0" * 16, "..", str(trap / "outside.txt")):
        assert studio.post("use", {"run": "sine", "verb": "sample", "inputs": [number]}).status_code == 404
        assert studio.post("upload-shown", {"run": "sine", "field": "real", "upload": number}).status_code == 404


# Uploads


def _sent(studio, name: str, content: bytes):
    from urllib.parse import quote

    return studio.client.post(f"/api/upload?name={quote(name, safe='')}", content=content, headers=studio.headers)


@pytest.mark.parametrize(
    "name",
    ["../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "a\0b.csv", ".bashrc", "<img src=x>.csv", "x" * 400 + ".csv", ""],
)
def test_an_upload_stays_where_uploads_lie(studio, tmp_path: Path, name: str) -> None:
    before = {path for path in tmp_path.rglob("*") if ".studio" not in path.parts}
    made = _sent(studio, name, b"x,y\n1,2\n").json()
    path = studio.places.uploaded(made["id"])
    assert path.parent.parent == studio.places.own("uploads")
    assert not path.name.startswith(".") and not set(path.name) & set('/\\<>\0"')
    assert {path for path in tmp_path.rglob("*") if ".studio" not in path.parts} == before


def test_an_archive_is_a_file_and_is_not_unpacked(studio, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.txt", "evil")
    made = _sent(studio, "a.zip", buffer.getvalue()).json()
    assert [path.name for path in studio.places.uploaded(made["id"]).parent.iterdir()] == ["a.zip"]
    assert not list(tmp_path.rglob("evil.txt"))


def test_an_upload_has_a_largest_size(studio, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.studio import applying

    monkeypatch.setattr(applying, "LARGEST_UPLOAD", 1000)
    assert _sent(studio, "a.csv", b"1" * 1001).status_code == 400
    assert _sent(studio, "a.csv", b"").status_code == 400
    monkeypatch.setattr(applying, "MOST_UPLOADS", 10)
    assert _sent(studio, "a.csv", b"1" * 500).status_code == 200
    assert _sent(studio, "a.csv", b"1" * 500).status_code == 400
    assert len(list(studio.places.own("uploads").iterdir())) == 1  # what was refused is gone


def test_a_small_file_with_too_many_pixels_is_refused(studio) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, format="PNG")
    assert len(buffer.getvalue()) < 100_000
    answer = _sent(studio, "bomb.png", buffer.getvalue())
    assert answer.status_code == 400 and "pixels" in answer.json()["error"]
    assert list(studio.places.own("uploads").iterdir()) == []


@pytest.mark.parametrize("packing", ["npz", "gz"])
def test_a_small_file_that_swells_is_refused(studio, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    """Decompression: an array of noughts, in an archive or as a packed volume."""
    import gzip

    import numpy as np

    from ganvas.studio import applying

    monkeypatch.setattr(applying, "MOST_UNPACKED", 1 << 20)
    for side, taken in ((64, True), (2048, False)):
        buffer = io.BytesIO()
        if packing == "npz":
            np.savez_compressed(buffer, images=np.zeros((side, side), np.uint8))
            content = buffer.getvalue()
        else:
            content = gzip.compress(bytes(side * side))
        assert len(content) < 10_000
        answer = _sent(studio, f"array.{packing}", content)
        assert (answer.status_code == 200) is taken, side
        assert taken or "unpacked" in answer.json()["error"]
    assert len(list(studio.places.own("uploads").iterdir())) == 1


def test_an_animation_is_of_results_alone(studio, trap: Path) -> None:
    (folder := studio.places.made()).mkdir()
    (folder / "grid.png").symlink_to(trap / "outside.txt")
    for numbers in (["../jobs", "../jobs"], [folder.name] * 2, ["0" * 16] * 2, "all", [], [folder.name] * 500):
        answer = studio.post("animation", {"made": numbers})
        assert answer.status_code in (400, 404), numbers


def test_files_of_one_field_are_uploads_too(studio, trap: Path) -> None:
    for numbers in ([str(trap / "outside.txt")], ["../../../outside.txt"], ["0" * 16, "1" * 16]):
        asked = {"run": "sine", "verb": "sample", "fields": {"mask": {"uploads": numbers}}}
        assert studio.post("use", asked).status_code == 404


def test_an_order_has_a_largest_size(studio) -> None:
    assert studio.post("train", {"data": "x" * 2_000_000}).status_code == 400


# What is served from a run


def test_a_page_in_a_run_is_shut_in(studio) -> None:
    """A report may be anybody's: it runs no script and has an origin of its own."""
    run = studio.places.runs / "sine"
    (run / "report.html").write_text("<script>fetch('/api/runs')</script>")
    (run / "odd.svg").write_text("<svg onload='alert(1)'/>")
    answer = studio.client.get("/api/run-file?name=sine&file=report.html")
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert "script-src" not in answer.headers["content-security-policy"]
    svg = studio.client.get("/api/run-file?name=sine&file=odd.svg")
    assert svg.headers["content-type"] == "application/octet-stream" and "attachment" in svg.headers["content-disposition"]


def test_inside_follows_links_and_takes_plain_names_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("")
    (tmp_path / "in" / "good").symlink_to(tmp_path / "in" / "file")
    assert inside(tmp_path / "in", "good") == (tmp_path / "in" / "file").resolve()
    for name in ESCAPES:
        with pytest.raises(Refused):
            inside(tmp_path / "in", name)


def test_a_new_run_needs_a_free_name(tmp_path: Path) -> None:
    places = Places(tmp_path / "runs")
    (tmp_path / "runs" / "there").mkdir()
    with pytest.raises(GanvasError, match="already"):
        places.new_run("there")
    assert places.free_run("Chest / X-ray") == "chest-x-ray-1"


def test_what_is_old_is_tidied_away_and_nothing_else(tmp_path: Path) -> None:
    import os

    places = Places(tmp_path / "runs")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    old, fresh = places.upload("a.png"), places.upload("b.png")
    for path in (old, fresh):
        path.write_bytes(b"x")
    (places.own("made") / "link").symlink_to(outside)
    os.utime(old.parent, (0, 0))
    os.utime(places.own("made") / "link", (0, 0), follow_symlinks=False)
    places.tidy()
    assert not old.parent.exists() and fresh.is_file()
    assert (outside / "file").read_text() == "kept" and not (places.own("made") / "link").is_symlink()
