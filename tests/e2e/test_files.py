"""Files over HTTP: what is shown and what never is, conditions, ranges, codings, and how they
leave."""

import http.client
import os
import random
import socket
import subprocess
import threading
import time
from email.utils import formatdate, parsedate_to_datetime

import pytest
from clients import Http
from processes import wait_until

THEN = 1_700_000_000  # when all files were written, unless a test says otherwise
BIG = random.Random(5).randbytes(3_000_001)
SECRET = b"a secret outside\n"


def write(path, data, when=THEN):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (when, when))


def build_site(directory):
    www = directory / "www"
    write(www / "a.txt", b"hello, file\n")
    write(www / "index.html", b"<h1>top</h1>")
    write(www / "docs" / "index.html", b"<h1>docs</h1>")
    write(www / "docs" / "b c.txt", b"spaces")
    write(www / "empty", b"")
    write(www / "noindex" / "x.css", b"a{}")
    write(www / "big.bin", BIG)
    write(www / "mib.bin", BIG[: 1 << 20])
    write(www / "edge.bin", BIG[: 64 * 1024])
    write(www / "beyond.bin", BIG[: 64 * 1024 + 1])
    write(www / "both.css", b"plain " * 100)
    write(www / "both.css.gz", b"gzipped-bytes")
    write(www / "both.css.br", b"brotli-b")
    write(www / "gz.js", b"var a;" * 50)
    write(www / "gz.js.gz", b"zzzz" * 30_000)
    write(www / "%2e%2e" / "odd.txt", b"an odd name")
    write(www / ".hidden", SECRET)
    write(www / ".git" / "config", SECRET)
    write(directory / "secret.txt", SECRET)
    write(directory / "outside" / "file", SECRET)
    (www / "inside").symlink_to("docs/index.html")
    (www / "insidedir").symlink_to("docs")
    (www / "out").symlink_to("../secret.txt")
    (www / "outdir").symlink_to("../outside")
    (www / "outabs").symlink_to(directory / "secret.txt")
    (www / "chain").symlink_to("out")
    (www / "proc").symlink_to("/proc/self")
    os.mkfifo(www / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(www / "sock"))
    return www


def launch_files(launch, **how):
    program = launch("files", start=False, **how)
    program.www = build_site(program.directory)
    return program.start()


@pytest.fixture(scope="module")
def site(launch_once):
    return launch_files(launch_once)


@pytest.fixture(scope="module")
def small_site(launch_once):
    """With a short queue, so that little is ever in memory."""
    return launch_files(launch_once, sets={"web.max_send_buffer": "64k"})


def open_http(program, **how):
    return Http(program.connect("web", **how))


def get(program, target, **how):
    with open_http(program) as client:
        return client.get(target, **how)


def fields(**given):
    return "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())


def curl(program, path, *arguments):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--path-as-is", *arguments, program.url("web", path)],
        capture_output=True, check=True,
    )
    return done.stdout


# ---- plain answers ----


def test_a_file(site):
    answer = get(site, "/files/a.txt")
    assert (answer.status, answer.body) == (200, b"hello, file\n")
    assert answer.fields["content-type"] == "text/plain; charset=utf-8"
    assert answer.fields["content-length"] == "12"
    assert answer.fields["accept-ranges"] == "bytes"
    assert answer.fields["cache-control"] == "no-cache"
    assert answer.fields["last-modified"] == formatdate(THEN, usegmt=True)
    etag = answer.fields["etag"]
    assert etag[0] == etag[-1] == '"' and len(etag) > 10, "not a strong tag"
    assert "vary" not in answer.fields and "content-encoding" not in answer.fields


@pytest.mark.parametrize("name", ["a.txt", "empty", "edge.bin", "beyond.bin", "mib.bin", "big.bin"])
def test_whole_and_head(site, name):
    """Each size on each side of each limit; a HEAD says the same and sends nothing."""
    expected = (site.www / name).read_bytes()
    with open_http(site) as client:
        answers = [client.get(f"/files/{name}") for _ in range(3)]
        assert all(answer.body == expected for answer in answers)
        head = client.get(f"/files/{name}", method="HEAD")
        for one in (head, answers[2]):
            one.fields.pop("date")
        assert head.status == 200 and head.fields == answers[2].fields
        assert client.get("/files/a.txt").body == b"hello, file\n", "something followed the HEAD"


def test_index_and_redirect(site):
    with open_http(site) as client:
        assert client.get("/files/").body == b"<h1>top</h1>"
        assert client.get("/files/docs/").body == b"<h1>docs</h1>"
        assert client.get("/files/docs/").fields["content-type"] == "text/html; charset=utf-8"
        moved = client.get("/files/docs?a=b&c=%20")
        assert moved.status == 301 and moved.fields["location"] == "/files/docs/?a=b&c=%20"
        assert client.get("/files/insidedir").fields["location"] == "/files/insidedir/"
        for path in ("noindex", "noindex/", "a.txt/", "docs/index.html/"):
            assert client.get(f"/files/{path}").status == 404
        assert client.get("/bare/").status == client.get("/bare/docs").status == 404
    assert curl(site, "/files/docs", "-L") == b"<h1>docs</h1>"
    assert curl(site, "/fixed", "-L") == b"<h1>docs</h1>"


def test_a_redirect_stays_here(site):
    """`//host/` in a Location would lead to another host."""
    with open_http(site) as client:
        for target in ("/reply?path=docs", "//evil.example/..?path=docs"):
            client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = client.read_response()
            assert not answer.fields.get("location", "").startswith("//"), answer.fields
        moved = client.get("/files/docs?next=//evil.example")
        assert moved.fields["location"] == "/files/docs/?next=//evil.example"


def test_cache_control(site):
    with open_http(site) as client:
        assert client.get("/old/a.txt").fields["cache-control"] == "max-age=3600"
        assert "cache-control" not in client.get("/bare/a.txt").fields
        known = client.get("/old/a.txt", more=fields(If_None_Match="*"))
        assert known.status == 304 and known.fields["cache-control"] == "max-age=3600"


def test_methods(site):
    with open_http(site) as client:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = client.get("/reply?path=a.txt", method=method)
            assert answer.status == 405 and answer.fields["allow"] == "GET, HEAD"
            answer = client.get("/files/a.txt", method=method)
            assert answer.status == 405 and "GET" in answer.fields["allow"]
        assert client.get("/reply?path=a.txt").body == b"hello, file\n"


def test_types(site):
    with open_http(site) as client:
        assert client.get("/files/noindex/x.css").fields["content-type"].startswith("text/css")
        assert client.get("/files/big.bin").fields["content-type"] == "application/octet-stream"
        assert client.get("/files/empty").fields["content-type"] == "application/octet-stream"


# ---- what is never shown ----

NEVER = [
    "/files/../secret.txt", "/files/%2e%2e/secret.txt", "/files/..%2fsecret.txt",
    "/files/%2e%2e%2fsecret.txt", "/files/%2E%2E%2Fsecret.txt", "/files/.%2e/secret.txt",
    "/files/docs/../../secret.txt", "/files/docs/%2e%2e/%2e%2e/secret.txt",
    "/files/docs/..%2f..%2fsecret.txt", "/files/%252e%252e/secret.txt",
    "/files/%252e%252e%252fsecret.txt", "/files/..%5csecret.txt", "/files/..\\secret.txt",
    "/files/%5c..%5csecret.txt", "/files/docs\\index.html", "/files/a.txt%00",
    "/files/a.txt%00.html", "/files/%00", "/files/..%00/secret.txt", "/files/..;/secret.txt",
    "/files/..%c0%afsecret.txt", "/files/%c0%ae%c0%ae/secret.txt",
    "/files/%uff0e%uff0e/secret.txt", "/files//etc/passwd", "/files/%2fetc%2fpasswd", "/files//",
    "/files/docs//index.html", "/files/./a.txt", "/files/docs/./index.html", "/files/docs/.",
    "/files/docs/..", "/files/.hidden", "/files/.git/config", "/files/docs/%2e%2e/.hidden",
    "/files/out", "/files/outabs", "/files/outdir/file", "/files/chain",
    "/files/proc/root/etc/passwd", "/files/proc/cwd/secret.txt", "/files/proc/environ",
    "/files/fifo", "/files/sock", "/files/none", "/files/a.txt/b", "/files/" + "a" * 300,
    "/files/" + "a/" * 2500, "/files/...", "/files/.../a.txt", "/files/ ", "/files/a.txt%20",
    "/files/A.TXT", "/files/a.txt.", "/files/a.txt::$DATA",
]


@pytest.mark.parametrize("target", NEVER, ids=range(len(NEVER)))
def test_never_shown(site, target):
    """Field bug 38: by whatever spelling. Each is as good as not there."""
    with open_http(site) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        answer = client.read_response()
        assert answer.status in (404, 400), (target, answer.status)
        assert SECRET not in answer.body and b"root:" not in answer.body
        if answer.status == 404:
            assert client.get("/files/a.txt").status == 200


@pytest.mark.parametrize("path", ["%2e%2e%2fsecret.txt", "..%00", "%2fetc%2fpasswd", "docs%5cx",
                                  "%252e%252e%252fsecret.txt", "docs%2f..%2fa.txt", ".hidden"])
def test_never_shown_by_a_handler(site, path):
    """A path that a handler took from elsewhere is under the same rules."""
    assert get(site, f"/reply?path={path}").status == 404


def test_decoded_once(site):
    """`%252e` is the name `%2e`, and there is such a directory."""
    assert get(site, "/files/%252e%252e/odd.txt").body == b"an odd name"
    assert get(site, "/files/docs/b%20c.txt").body == b"spaces"
    assert get(site, "/files/docs%2Fb%20c.txt").status in (200, 404)


def test_links_that_stay_inside(site):
    assert get(site, "/files/inside").body == b"<h1>docs</h1>"
    assert get(site, "/files/insidedir/index.html").body == b"<h1>docs</h1>"


def test_long_targets(site):
    """Field bug 39: the edges of what a path may be, in names and in all."""
    for size in (250, 255, 256, 3990, 4000, 4001, 4096, 8000):
        assert get(site, "/files/" + "n" * size).status == 404
        assert get(site, "/files/" + "n/" * (size // 2)).status == 404
        assert get(site, "/files/" + "%6e" * (size // 3)).status == 404
    assert get(site, "/files/" + "n" * 20_000).status == 414


def test_a_directory_that_was_not_there(site):
    assert get(site, "/gone/x").status == 503
    write(site.directory / "later" / "x", b"here now")
    assert get(site, "/gone/x").body == b"here now"


# ---- conditions ----


def test_conditions(site):
    first = get(site, "/files/a.txt")
    etag, then = first.fields["etag"], first.fields["last-modified"]
    before, after = formatdate(THEN - 1, usegmt=True), formatdate(THEN + 1, usegmt=True)
    moment = parsedate_to_datetime(then)
    rows = [
        (304, fields(If_None_Match=etag)), (304, fields(If_None_Match=f'"x", W/{etag}')),
        (304, fields(If_None_Match="*")), (200, fields(If_None_Match='"x"')),
        (200, fields(If_None_Match="rubbish")), (304, fields(If_Modified_Since=then)),
        (304, fields(If_Modified_Since=after)), (200, fields(If_Modified_Since=before)),
        (200, fields(If_Modified_Since="rubbish")),
        (304, fields(If_Modified_Since=moment.strftime("%A, %d-%b-%y %T GMT"))),
        (304, fields(If_Modified_Since=moment.strftime("%a %b %d %T %Y"))),
        (200, fields(If_None_Match='"x"', If_Modified_Since=after)),
        (304, fields(If_None_Match=etag, If_Modified_Since=before)),
        (200, fields(If_Match=etag)), (200, fields(If_Match="*")), (412, fields(If_Match='"x"')),
        (412, fields(If_Match=f"W/{etag}")), (200, fields(If_Unmodified_Since=then)),
        (412, fields(If_Unmodified_Since=before)), (200, fields(If_Unmodified_Since="rubbish")),
        (200, fields(If_Match=etag, If_Unmodified_Since=before)),
        (412, fields(If_Match='"x"', If_None_Match=etag)),
        (304, fields(If_Match=etag, If_None_Match=etag)),
        (304, fields(If_None_Match=etag, Range="bytes=0-1")),
        (412, fields(If_Match='"x"', Range="bytes=0-1")),
    ]
    with open_http(site) as client:
        for status, more in rows:
            for method in ("GET", "HEAD"):
                answer = client.get("/files/a.txt", method=method, more=more)
                assert answer.status == status, (method, more)
                if status == 304:
                    assert answer.fields["etag"] == etag and "cache-control" in answer.fields
                    assert "content-length" not in answer.fields


def test_curl_conditions(site, tmp_path):
    """curl's own way of asking again."""
    write(tmp_path / "copy", b"x", THEN)
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert curl(site, "/files/a.txt", *code, "-z", str(tmp_path / "copy")) == b"304"
    tag = str(tmp_path / "tag")
    assert curl(site, "/files/a.txt", *code, "--etag-save", tag) == b"200"
    assert curl(site, "/files/a.txt", *code, "--etag-compare", tag) == b"304"


def test_a_change_is_seen(site):
    path = site.www / "changing.txt"
    write(path, b"first", THEN)
    with open_http(site) as client:
        first = client.get("/files/changing.txt")
        write(path, b"other", THEN)  # same length, same time
        wait_until(lambda: client.get("/files/changing.txt").body == b"other", "the new content", 5)
        write(path, b"third, longer", THEN + 5)
        more = fields(If_None_Match=first.fields["etag"])
        wait_until(lambda: client.get("/files/changing.txt", more=more).body == b"third, longer",
                   "the third content", 5)
        path.unlink()
        wait_until(lambda: client.get("/files/changing.txt").status == 404, "nothing there", 5)
        write(path, b"again")
        assert client.get("/files/changing.txt").body == b"again"


# ---- ranges ----


def parts_of(answer):
    """[(first, last, size, bytes)] of a multipart/byteranges."""
    kind = answer.fields["content-type"]
    assert kind.startswith("multipart/byteranges; boundary="), kind
    boundary = b"--" + kind.partition("boundary=")[2].encode()
    assert answer.body.startswith(boundary) and answer.body.endswith(b"\r\n" + boundary + b"--\r\n")
    pieces = answer.body[len(boundary):].split(b"\r\n" + boundary)
    found = []
    for piece in pieces[:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        assert set(lines) == {"Content-Type", "Content-Range"}
        unit, _, rest = lines["Content-Range"].partition(" ")
        span, _, size = rest.partition("/")
        first, _, last = span.partition("-")
        assert unit == "bytes"
        found.append((int(first), int(last), int(size), data))
    return found


@pytest.mark.parametrize("name", ["a.txt", "edge.bin", "big.bin"])
def test_one_range(site, name):
    data = (site.www / name).read_bytes()
    size = len(data)
    rows = [("0-0", 0, 0), ("3-8", 3, 8), (f"{size - 1}-", size - 1, size - 1), ("5-", 5, size - 1),
            ("-1", size - 1, size - 1), (f"-{size}", 0, size - 1), (f"-{size + 9}", 0, size - 1),
            (f"4-{size + 100}", 4, size - 1), ("0-1,2-6", 0, 6), ("4-9,2-5", 2, 9)]
    with open_http(site) as client:
        for text, first, last in rows:
            answer = client.get(f"/files/{name}", more=fields(Range=f"bytes={text}"))
            assert answer.status == 206, text
            assert answer.fields["content-range"] == f"bytes {first}-{last}/{size}"
            assert answer.body == data[first : last + 1]
            assert "etag" in answer.fields and "last-modified" in answer.fields


@pytest.mark.parametrize("name", ["a.txt", "big.bin"])
def test_several_ranges(site, name):
    data = (site.www / name).read_bytes()
    size = len(data)
    rows = [["0-0", "5-6"], ["8-", "0-1"], ["-2", "0-3"],
            ["0-2", "4-4", f"{size // 2}-{size // 2}", "-1"]]
    if size > 1000:
        rows.append([f"{i * 180_000}-{i * 180_000 + 170_000}" for i in range(16)])
    with open_http(site) as client:
        for spans in rows:
            answer = client.get(f"/files/{name}", more=fields(Range="bytes=" + ", ".join(spans)))
            assert answer.status == 206 and "content-range" not in answer.fields
            parts = parts_of(answer)
            assert len(parts) == len(spans)
            for span, (first, last, whole, piece) in zip(spans, parts):
                begin, _, end = span.partition("-")
                expected = (int(begin), int(end) if end else size - 1) if begin else (
                    size - int(end), size - 1)
                assert (first, min(last, size - 1), whole) == (*expected, size)
                assert piece == data[first : last + 1]
        head = client.get(f"/files/{name}", method="HEAD", more=fields(Range="bytes=0-0,5-6"))
        assert head.status == 200 and head.fields["content-length"] == str(size)
        assert client.get("/files/a.txt").status == 200


def test_ranges_that_are_ignored(site):
    rows = ["bytes=", "bytes=2-1", "lines=1-2", "bytes=a-b", "bytes=0-1,x", "0-1", "bytes=-",
            "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 34, 2))]
    with open_http(site) as client:
        for text in rows:
            answer = client.get("/files/edge.bin", more=fields(Range=text))
            assert answer.status == 200 and len(answer.body) == 64 * 1024, text
        twice = "Range: bytes=0-1\r\nRange: bytes=4-5\r\n"
        assert client.get("/files/edge.bin", more=twice).status == 200
        assert client.get("/files/empty", more=fields(Range="bytes=-5")).status == 200
        head = client.get("/files/a.txt", method="HEAD", more=fields(Range="bytes=0-1"))
        assert head.status == 200


def test_ranges_that_lie_nowhere(site):
    with open_http(site) as client:
        for name, size in (("a.txt", 12), ("empty", 0), ("big.bin", len(BIG))):
            for text in (f"{size}-", f"{size + 5}-{size + 9}", "-0", "9" * 40 + "-"):
                answer = client.get(f"/files/{name}", more=fields(Range=f"bytes={text}"))
                assert answer.status == 416 and answer.fields["content-range"] == f"bytes */{size}"


def test_if_range(site):
    etag = get(site, "/files/a.txt").fields["etag"]
    rows = [(206, etag), (200, f"W/{etag}"), (200, '"x"'), (206, formatdate(THEN, usegmt=True)),
            (200, formatdate(THEN + 1, usegmt=True)), (200, "rubbish")]
    with open_http(site) as client:
        for status, text in rows:
            answer = client.get("/files/a.txt", more=fields(Range="bytes=0-1", If_Range=text))
            assert answer.status == status, text
        # A range that lies nowhere does not count either when the file has changed.
        answer = client.get("/files/a.txt", more=fields(Range="bytes=99-", If_Range='"x"'))
        assert answer.status == 200


def test_curl_resumes(site, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(BIG[:1_234_567])
    curl(site, "/files/big.bin", "-C", "-", "-o", str(part))
    assert part.read_bytes() == BIG
    assert curl(site, "/files/big.bin", "-r", "7-1048600") == BIG[7:1_048_601]


# ---- codings ----


def test_codings(site):
    tags = set()
    rows = [("", None), ("gzip", "gzip"), ("br", "br"), ("gzip, br", "br"),
            ("br;q=0.1, gzip", "gzip"),
            ("br;q=0, gzip;q=0.5", "gzip"), ("br;q=0, gzip;q=0", None), ("deflate", None),
            ("*", "br"), ("identity", None), ("GZIP", "gzip"), ("gzip, deflate, br, zstd", "br")]
    bodies = {None: b"plain " * 100, "gzip": b"gzipped-bytes", "br": b"brotli-b"}
    with open_http(site) as client:
        for accept, coding in rows:
            answer = client.get("/files/both.css", more=fields(Accept_Encoding=accept))
            assert answer.fields.get("content-encoding") == coding, accept
            assert answer.body == bodies[coding]
            assert answer.fields["vary"] == "Accept-Encoding"
            assert answer.fields["content-type"].startswith("text/css")
            tags.add((coding, answer.fields["etag"]))
            again = client.get("/files/both.css", more=fields(
                Accept_Encoding=accept, If_None_Match=answer.fields["etag"]))
            assert again.status == 304 and again.fields["vary"] == "Accept-Encoding"
        assert len(tags) == len({tag for _, tag in tags}) == 3, "each form has its own tag"
        assert "vary" not in client.get("/files/a.txt", more=fields(Accept_Encoding="gzip")).fields
        assert client.get("/files/both.css").body == bodies[None]


def test_ranges_of_the_form_that_is_sent(site):
    data = b"zzzz" * 30_000
    with open_http(site) as client:
        coded = client.get("/files/gz.js", more=fields(
            Accept_Encoding="gzip", Range="bytes=5-70000"))
        assert coded.status == 206 and coded.fields["content-encoding"] == "gzip"
        assert coded.fields["content-range"] == f"bytes 5-70000/{len(data)}"
        assert coded.body == data[5:70_001]
        plain = client.get("/files/gz.js", more=fields(Range="bytes=0-5"))
        assert plain.body == b"var a;" and "content-encoding" not in plain.fields
        other = client.get("/files/gz.js", more=fields(
            Range="bytes=0-5", Accept_Encoding="gzip", If_Range=plain.fields["etag"]))
        assert other.status == 200, "a tag of the plain form does not hold for the other"


# ---- functions after the answer ----


def test_functions_after(site):
    with open_http(site) as client:
        for name in ("a.txt", "big.bin"):
            data = (site.www / name).read_bytes()
            more = client.get(f"/after/{name}?field=1")
            assert more.fields["x-after"] == "yes" and more.body == data
            other = client.get(f"/after/{name}?body=other")
            assert other.body == b"other" and other.fields["content-length"] == "5"
            none = client.get(f"/after/{name}?status=204")
            assert none.status == 204 and client.get("/files/a.txt").status == 200
            assert client.get(f"/after/{name}?status=203").body == data
        last = client.get("/after/big.bin?close=1")
        assert last.body == BIG and last.fields["connection"] == "close"
        assert client.at_end()


# ---- how they leave ----


def test_python_client(site):
    client = http.client.HTTPConnection("127.0.0.1", site.ports["web"], timeout=20)
    for name in ("a.txt", "big.bin", "empty", "mib.bin"):
        client.request("GET", f"/files/{name}")
        assert client.getresponse().read() == (site.www / name).read_bytes()
    client.request("HEAD", "/files/big.bin")
    assert client.getresponse().read() == b""
    client.close()


def test_http_1_0(site):
    with open_http(site) as client:
        client.send(b"GET /files/big.bin HTTP/1.0\r\n\r\n")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
        assert b" 200 " in head and body == BIG


def test_pipelined(site):
    names = ["big.bin", "a.txt", "mib.bin", "empty", "none", "beyond.bin", "a.txt"] * 3
    with open_http(site) as client:
        client.send(b"".join(f"GET /files/{n} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for n in names))
        for name in names:
            answer = client.read_response()
            if name == "none":
                assert answer.status == 404
            else:
                assert answer.body == (site.www / name).read_bytes(), name


def test_byte_by_byte(site):
    with open_http(site) as client:
        client.send_slowly(b"GET /files/beyond.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=1-\r\n\r\n")
        assert client.read_response().body == BIG[1 : 64 * 1024 + 1]


@pytest.mark.parametrize("which", ["site", "small_site"])
def test_many_clients(which, engine, request):  # pylint: disable=unused-argument
    program = request.getfixturevalue(which)
    failures = []

    def ask(number):
        chance = random.Random(number)
        try:
            with open_http(program, receive_buffer=chance.choice([None, 8192])) as client:
                for _ in range(15):
                    name = chance.choice(["a.txt", "beyond.bin", "mib.bin", "big.bin", "edge.bin"])
                    data = (program.www / name).read_bytes()
                    first = chance.randrange(len(data))
                    answer = client.get(f"/files/{name}", more=fields(Range=f"bytes={first}-"))
                    assert answer.body == data[first:], name
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    program.lawful()


def test_messages_are_counted(site):
    """Each answer is one message, however many parts it leaves in."""
    before = site.wait_empty()
    with open_http(site) as client:
        for target in ("a.txt", "big.bin", "none", "docs"):
            client.get(f"/files/{target}")
        client.get("/files/big.bin", more=fields(Range="bytes=0-9,200000-1500000"))
    after = site.wait_empty()
    assert after["messages_offered"] - before["messages_offered"] == 5
    assert after["messages_sent"] - before["messages_sent"] == 5
    assert after["bytes_queued"] == 0


# ---- large ones ----


def memory_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def test_ten_gigabytes_to_a_slow_reader(launch):
    """A file of holes: neither memory nor the queue grows with it."""
    program = launch_files(launch)
    with open(program.www / "huge.bin", "wb") as huge:
        huge.truncate(10 << 30)
        huge.seek(6 << 30)
        huge.write(b"mark")
    with open_http(program, receive_buffer=65536) as client:
        get(program, "/files/a.txt")
        pid = program.pid("web")
        before = memory_of(pid)
        client.send(b"GET /files/huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        head = client.read_until(b"\r\n\r\n")
        assert b"Content-Length: 10737418240\r\n" in head
        read, most, ends = len(client.take(len(client.buffer))), 0, time.monotonic() + 2
        while time.monotonic() < ends:
            read += len(client.sock.recv(65536))
            time.sleep(0.001)
            most = max(most, memory_of(pid))
        totals = program.totals()
        print(f"{read} bytes read, the worker grew by {most - before} bytes")
        assert totals["messages_queued"] == 1
        assert totals["bytes_queued"] <= 3 << 20
        assert most - before < 4 << 20
        mark = f"bytes={6 << 30}-{(6 << 30) + 5}"
        answer = get(program, "/files/huge.bin", more=fields(Range=mark))
        assert answer.body == b"mark\0\0"
        assert get(program, "/files/a.txt").status == 200, "a neighbour waits"
    program.wait_empty()


def test_slow_readers_do_not_hold_others(small_site):
    with open_http(small_site, receive_buffer=4096) as slow:
        slow.send(b"GET /files/big.bin HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        for _ in range(20):
            assert get(small_site, "/files/mib.bin").body == BIG[: 1 << 20]
        for _ in range(3):
            assert slow.read_response().body == BIG


def begin_slowly(program, name):
    """A client that has read the head and a little of the body."""
    client = open_http(program, receive_buffer=4096)
    client.send(f"GET /files/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = client.read_until(b"\r\n\r\n").decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    return client, length


def length_of(program, target):
    """Of the body; None when the connection broke."""
    try:
        return len(get(program, target).body)
    except (EOFError, ConnectionError):
        return None


def test_a_file_that_shrinks_breaks_off(launch):
    """Never padded: the client sees the connection break. It is cut behind what is on its way, as
    the kernel sends a file's pages themselves, and fills up those that are cut."""
    program = launch_files(launch)
    path = program.www / "shrinks.bin"
    write(path, BIG * 10)
    client, length = begin_slowly(program, "shrinks.bin")
    assert length == 10 * len(BIG)
    os.truncate(path, 8 << 20)
    with client:
        body = client.read_all()
    assert len(body) <= 8 << 20 and (BIG * 10).startswith(body)
    program.wait_output("become shorter")
    totals = program.wait_empty()
    assert totals["send_fail"] == 1
    wait_until(lambda: length_of(program, "/files/shrinks.bin") == 8 << 20, "the new length", 5)


def test_a_file_that_grows_is_as_long_as_promised(launch):
    program = launch_files(launch)
    path = program.www / "grows.bin"
    write(path, BIG * 5)
    client, length = begin_slowly(program, "grows.bin")
    with open(path, "ab") as more:
        more.write(b"more")
    with client:
        assert client.read(length) == BIG * 5
        assert client.get("/files/a.txt").status == 200


def test_a_file_that_is_replaced_goes_on(launch):
    program = launch_files(launch)
    path = program.www / "replaced.bin"
    write(path, BIG * 5)
    client, length = begin_slowly(program, "replaced.bin")
    write(program.www / "new", b"new content")
    os.replace(program.www / "new", path)
    with client:
        assert client.read(length) == BIG * 5, "the old file, to its end"
        wait_until(
            lambda: client.get("/files/replaced.bin").body == b"new content", "the new one", 5)


def test_clients_that_leave(launch):
    """Whoever goes in the midst of a file leaves nothing behind: neither memory nor descriptors."""
    program = launch_files(launch)
    get(program, "/files/big.bin")
    pid = program.pid("web")
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for number in range(40):
        client = open_http(program, receive_buffer=4096)
        more = "Range: bytes=0-9,100-2000000\r\n" if number % 2 else ""
        client.send(f"GET /files/big.bin HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode())
        client.read(100)
        (client.reset if number % 3 else client.close)()
    totals = program.wait_empty()
    assert totals["send_fail"] == totals["send_fail_by_reason"]["reset"] > 0
    assert len(os.listdir(f"/proc/{pid}/fd")) <= before + 1
    assert get(program, "/files/big.bin").body == BIG


def test_descriptors_stay_bounded(launch):
    """More large files than the cache may hold open."""
    program = launch_files(launch)
    for number in range(600):
        write(program.www / "many" / f"{number}.bin", BIG[: 64 * 1024 + 1 + number])
    with open_http(program) as client:
        for number in range(600):
            assert len(client.get(f"/files/many/{number}.bin").body) == 64 * 1024 + 1 + number
        assert len(os.listdir(f"/proc/{program.pid('web')}/fd")) < 560
        assert client.get("/files/many/0.bin").status == 200


def test_few_descriptors(launch):
    """With hardly any left the cached goes on, and nothing falls over."""
    program = launch("files", start=False, sets={"web.max_connections": "8"})
    program.www = build_site(program.directory)
    program.start(nofile=128)
    for number in range(200):
        write(program.www / "many" / f"{number}.bin", BIG[: 64 * 1024 + 1])
    with open_http(program) as client:
        statuses = {client.get(f"/files/many/{number}.bin").status for number in range(200)}
        assert statuses <= {200, 503} and 200 in statuses
        assert client.get("/files/a.txt").status in (200, 503)


def test_a_root_that_is_not_there(launch):
    """The program says what is wrong and does not start."""
    program = launch("files", start=False)
    program.may_fail = True
    process = program.spawn()
    try:
        program.wait_output("cannot be opened")
        program.wait_output("www")
    finally:
        process.terminate()
        process.wait(20)
