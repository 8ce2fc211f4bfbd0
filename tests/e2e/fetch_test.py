"""lora fetch against a TLS server on loopback that breaks connections, ignores ranges, changes files and lies (M3)."""
import hashlib
import http.server
import json
import os
import random
import signal
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from harness import BIN, E2E, environment, run, sha256

SEED = int(os.environ.get("LORA_TEST_SEED", "1"))


def content(size, seed=0):
    return random.Random(seed).randbytes(size)


class Handler(http.server.BaseHTTPRequestHandler):
    """What each path does; the server object holds the files and counts."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with self.server.lock:
            self.server.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
            turn = sum(1 for path, _, _ in self.server.asked if path == self.path)
        try:
            self.serve(self.path.split("?")[0].strip("/").split("/"), turn)
        except (ConnectionError, ssl.SSLError, socket.timeout):
            self.close_connection = True

    def serve(self, parts, turn):
        kind, body = parts[0], self.server.files.get("/".join(parts), self.server.files.get(parts[-1], b""))
        etag = '"%s"' % hashlib.sha256(body).hexdigest()[:16]
        if kind == "gone":
            return self.answer(404, b"no")
        if kind == "forbidden":
            return self.answer(403, b"no")
        if kind == "busy" and turn <= 3:
            return self.answer(503, b"later")
        if kind == "moved":
            return self.answer(302, b"elsewhere", Location="/plain/" + parts[-1],
                               X_Linked_Etag='"%s"' % hashlib.sha256(body).hexdigest(),
                               Content_Disposition='attachment; filename="../../evil"')
        if kind == "loop":
            return self.answer(302, Location="/loop/" + parts[-1])
        if kind == "downgrade":
            return self.answer(302, Location="http://localhost:1/" + parts[-1])
        if kind == "liar":
            return self.answer(200, body, X_Linked_Etag='"%s"' % ("0" * 64), ETag=etag)
        if kind == "huge":
            self.send_response(200)
            self.send_header("Content-Length", 1 << 44)
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            raise ConnectionError
        if kind == "endless":  # no length: until somebody gives up
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 65536)
        if kind == "chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("ETag", etag)
            self.end_headers()
            for at in range(0, len(body), 30000):
                part = body[at:at + 30000]
                self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return None
        if kind == "changes":
            body = self.server.files["old" if turn == 1 else "new"]
            etag = '"old"' if turn == 1 else '"new"'
        if kind == "changes_silently":  # goes on with the tail of another file, without a word
            body = self.server.files["old" if turn == 1 else "new"]
            etag = '"old"' if turn == 1 else '"new"'
            return self.send(body, etag, turn, ignore_if_range=True)
        return self.send(body, etag, turn)

    def send(self, body, etag, turn, ignore_if_range=False):
        kind = self.path.strip("/").split("/")[0]
        wanted, unless = self.headers.get("Range"), self.headers.get("If-Range")
        first = 0
        if wanted and kind != "norange" and (unless is None or unless == etag or ignore_if_range):
            first = int(wanted[len("bytes="):].split("-")[0])
            if first >= len(body):
                return self.answer(416, b"", Content_Range="bytes */%d" % len(body))
            if kind == "wrongrange" and turn <= 3:
                first = max(first - 7, 1)
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, len(body) - 1, len(body)))
        if kind == "dated":
            self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        elif kind != "bare":
            self.send_header("ETag", etag)
        rest = body[first:]
        extra = b"and more" * 1000 if kind == "toomuch" else b""
        self.send_header("Content-Length", len(rest))
        self.end_headers()
        breaks = {"breaks": 12, "wrongrange": 5, "changes": 1, "changes_silently": 1, "bare": 1, "dated": 3, "norange": 2,
                  "stays_broken": 10**9}.get(kind, 0)
        if turn <= breaks:
            with self.server.lock:
                cut = self.server.random.randrange(1, len(rest))
            self.wfile.write(rest[:cut])
            self.wfile.flush()
            raise ConnectionError
        if kind == "slow":
            for at in range(0, len(rest), 20000):
                self.wfile.write(rest[at:at + 20000])
                self.wfile.flush()
                time.sleep(0.02)
            return None
        self.wfile.write(rest + extra)
        return None

    def finish(self):
        try:
            super().finish()
        except (ConnectionError, ssl.SSLError, ValueError):
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.lock = {}, [], threading.Lock()
        self.random = random.Random(SEED)
        self.context = context
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        client, address = super().get_request()
        client.settimeout(30)
        if self.context:
            client = self.context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def shutdown_request(self, request):
        # Without TLS's goodbye where the handler broke off: as a cut cable looks.
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.close_request(request)

    def handle_error(self, request, client_address):
        pass


@unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificate")
class Fetch(E2E):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="lora-tls-")
        cls.ca = os.path.join(cls.folder, "cert.pem")
        key = os.path.join(cls.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cls.ca,
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.ca, key)
        cls.context = context
        print("seed", SEED)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        super().setUp()
        self.server = Server(self.context)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.server.files["file.bin"] = content(400_000)
        self.site = f"https://localhost:{self.server.server_port}"

    def args(self, path, *more):
        return ("fetch", f"{self.site}/{path}", "--output_dir", self.path("got"), "--ca_file", self.ca,
                "--retry_wait", "0.01", *more)

    def fetch(self, path, *more, code=0, **env):
        return self.check(run(*self.args(path, *more), env=environment(no_proxy="localhost", **env)), code)

    def told(self, path, *more):
        return json.loads(self.fetch(path, "--json", *more).out)["files"][0]

    def assert_file(self, name="file.bin", body=None):
        body = self.server.files[name] if body is None else body
        with open(self.path("got", name), "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(body).digest())
        self.assertEqual(os.listdir(self.path("got")), [name])

    def test_a_whole_file(self):
        row = self.told("plain/file.bin")
        self.assert_file()
        self.assertEqual((row["bytes"], row["connections"], row["checked"]), (400_000, 1, False))
        self.assertEqual(row["sha256"], hashlib.sha256(self.server.files["file.bin"]).hexdigest())
        row = self.told("plain/file.bin")
        self.assertFalse(row["fetched"])
        self.assertEqual(len(self.server.asked), 1)
        self.assertTrue(self.told("plain/file.bin", "--sha256", row["sha256"] or sha256(self.path("got/file.bin")))
                        ["checked"])
        self.fetch("plain/file.bin", "--sha256", "ab" * 32, code=5)
        self.assertTrue(self.told("plain/file.bin", "--force")["fetched"])
        self.assertIn("not checked", self.fetch("plain/file.bin", "--force").out)

    def test_connections_that_break(self):
        # M3: each break costs only what had not arrived.
        row = self.told("breaks/file.bin")
        self.assert_file()
        self.assertEqual(row["connections"], 13)
        starts = [int(wanted[6:-1]) for _, wanted, _ in self.server.asked if wanted]
        self.assertEqual(len(starts), 12)
        self.assertEqual(starts, sorted(starts))
        self.assertTrue(all(unless for _, wanted, unless in self.server.asked if wanted))

    def test_the_next_run_goes_on(self):
        self.fetch("stays_broken/file.bin", "--max_retries", "0", code=5)
        have = os.path.getsize(self.path("got/file.bin.part"))
        self.assertGreater(have, 0)
        self.assertFalse(os.path.exists(self.path("got/file.bin")))
        row = self.told("plain/file.bin")
        self.assert_file()
        self.assertEqual(row["resumed_bytes"], have)
        self.assertEqual(self.server.asked[-1][1], f"bytes={have}-")

    def test_dates_as_validators(self):
        self.assertEqual(self.told("dated/file.bin")["connections"], 4)
        self.assert_file()

    def test_killed_and_repeated(self):
        process = subprocess.Popen([BIN, *self.args("slow/file.bin")], env=environment(no_proxy="localhost"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        part = self.path("got/file.bin.part")
        end = time.monotonic() + 20
        while time.monotonic() < end and not (os.path.exists(part) and os.path.getsize(part) > 50_000):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertGreater(self.told("slow/file.bin")["resumed_bytes"], 50_000)
        self.assert_file()

    def test_stopped_by_hand(self):
        process = subprocess.Popen([BIN, *self.args("slow/file.bin")], env=environment(no_proxy="localhost"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        part = self.path("got/file.bin.part")
        end = time.monotonic() + 20
        while time.monotonic() < end and not (os.path.exists(part) and os.path.getsize(part) > 50_000):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=20)[1].decode()
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("goes on from there", err)
        self.assertGreater(self.told("slow/file.bin")["resumed_bytes"], 50_000)
        self.assert_file()

    def test_everything_was_there_but_the_name(self):
        body = self.server.files["file.bin"]
        os.makedirs(self.path("got"))
        with open(self.path("got/file.bin.part"), "wb") as file:
            file.write(body)
        self.write("got/file.bin.part.json", json.dumps({
            "url": "x", "validator": '"%s"' % hashlib.sha256(body).hexdigest()[:16], "total": len(body)}))
        self.assertEqual(self.told("plain/file.bin")["resumed_bytes"], len(body))
        self.assert_file()

    def test_ranges_are_ignored(self):
        self.told("norange/file.bin")
        self.assert_file()

    def test_ranges_are_wrong(self):
        self.told("wrongrange/file.bin")
        self.assert_file()

    def test_the_file_changes_between(self):
        for kind in ("changes", "changes_silently"):
            for size in (400_000, 90_000):
                self.server.asked.clear()
                shutil.rmtree(self.path("got"), ignore_errors=True)
                self.server.files["old"], self.server.files["new"] = content(400_000, 5), content(size, 6)
                self.told(f"{kind}/file.bin")
                self.assert_file(body=self.server.files["new"])

    def test_without_validators(self):
        self.assertEqual(self.told("bare/file.bin")["connections"], 2)
        self.assert_file()
        self.assertEqual([wanted for _, wanted, _ in self.server.asked], [None, None])

    def test_parts_of_strangers(self):
        os.makedirs(self.path("got"))
        for note in (None, "{", "[]", '{"total": -1}', '{"total": 5, "validator": 7, "url": []}',
                     '{"total": 9, "validator": "\\"x\\"", "url": "y"}'):
            with open(self.path("got/file.bin.part"), "wb") as file:
                file.write(b"garbage")
            if note is not None:
                self.write("got/file.bin.part.json", note)
            self.told("plain/file.bin", "--force")
            self.assert_file()

    def test_redirects_and_names(self):
        row = self.told("moved/file.bin?name=../../x")
        self.assert_file()
        self.assertTrue(row["matches_server"])
        self.fetch("loop/other.bin", code=5)
        self.fetch("downgrade/other.bin", code=5)
        self.fetch("plain/", code=2)
        self.fetch("plain/..", code=2)
        self.server.files["x.bin"] = b"12"
        self.fetch("plain/%2e%2e%2fx.bin")
        self.assertIn(".._x.bin", os.listdir(self.path("got")))
        self.fetch("plain/x.bin", "--output_name", "../y", code=2)
        self.fetch("plain/x.bin", "--output_name", "y")
        self.assertEqual(os.path.getsize(self.path("got/y")), 2)

    def test_lengths(self):
        self.told("chunked/file.bin")
        self.assert_file()
        self.told("toomuch/file.bin", "--force")
        self.assert_file()
        self.fetch("endless/endless.bin", "--max_size", "1M", code=5)
        self.fetch("huge/huge.bin", code=5)
        self.fetch("huge/huge.bin", "--max_size", "20000G", code=5)  # the disk has no room
        self.fetch("plain/file.bin", "--max_size", "100K", "--force", code=5)
        self.assertFalse(os.path.exists(self.path("got/endless.bin")))
        self.assertFalse(os.path.exists(self.path("got/huge.bin")))
        self.server.files["empty.bin"] = b""
        self.assertEqual(self.told("plain/empty.bin")["bytes"], 0)

    def test_hashes(self):
        right = hashlib.sha256(self.server.files["file.bin"]).hexdigest()
        result = self.fetch("plain/file.bin", "--sha256", "0" * 64, code=5)
        self.assertIn(right, result.err)
        self.assertEqual(os.listdir(self.path("got")), [])
        self.fetch("liar/file.bin", code=5)
        self.assertEqual(os.listdir(self.path("got")), [])
        self.assertTrue(self.told("plain/file.bin", "--sha256", right.upper())["checked"])
        self.fetch("plain/file.bin", "--sha256", "xyz", code=2)

    def test_servers_that_say_no(self):
        self.check(self.fetch("gone/file.bin", code=5), 5, "404")
        self.check(self.fetch("forbidden/file.bin", code=5), 5, "403", "login")
        self.assertEqual(len(self.server.asked), 2)
        self.assertEqual(self.told("busy/file.bin")["connections"], 4)
        self.assert_file()

    def test_certificates(self):
        bare = ("fetch", f"{self.site}/plain/file.bin", "--output_dir", self.path("got"), "--retry_wait", "0.01")
        none = {"no_proxy": "localhost", "CURL_CA_BUNDLE": "", "SSL_CERT_FILE": ""}
        self.check(run(*bare, env=environment(**none)), 5, "ca_file")
        self.assertFalse(os.path.exists(self.path("got/file.bin")))
        self.check(run(*bare, env=environment(**{**none, "SSL_CERT_FILE": self.ca})), 0)
        self.assert_file()
        self.check(run(*bare, "--force", env=environment(no_proxy="localhost", CURL_CA_BUNDLE=self.ca)), 0)
        self.fetch("plain/file.bin", "--force", "--ca_file", self.path("none.pem"), code=5)

    def test_no_network(self):
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()
        url = f"https://localhost:{port}/x.bin"
        args = ("fetch", url, "--output_dir", self.path("got"), "--retry_wait", "0.01")
        self.check(run(*args, env=environment(no_proxy="localhost")), 5, "network")
        self.check(run("fetch", "https://no-such-host.invalid/x.bin", "--output_dir", self.path("got"), "--retry_wait",
                       "0.01", env=environment()), 5, "network")
        self.check(run("fetch", "ftp://localhost/x.bin", "--output_dir", self.path("got")), 2)
        # A proxy of the environment is used: there is none at that port.
        self.check(run(*self.args("plain/file.bin"), env=environment(https_proxy=f"http://127.0.0.1:{port}")), 5)
        self.assertEqual(self.server.asked, [])

    def test_plain_http_where_asked(self):
        server = Server()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        server.files["file.bin"] = self.server.files["file.bin"]
        self.check(run("fetch", f"http://localhost:{server.server_port}/plain/file.bin", "--output_dir",
                       self.path("got"), env=environment(no_proxy="localhost")), 0)
        self.assert_file()

    def test_known_models_and_mirrors(self):
        repository = "SmilingWolf/wd-v1-4-swinv2-tagger-v2/resolve/main/"
        self.server.files[repository + "model.onnx"] = content(70_000, 1)
        self.server.files[repository + "selected_tags.csv"] = b"tag_id,name,category,count\n"
        args = ("fetch", "wd14-swinv2-v2", "--output_dir", self.path("models"), "--ca_file", self.ca, "--retry_wait", "0")
        self.check(run(*args, "--mirror", self.site, env=environment(no_proxy="localhost")), 0)
        folder = self.path("models/wd14-swinv2-v2")
        self.assertEqual(sorted(os.listdir(folder)), ["model.onnx", "selected_tags.csv"])
        self.assertEqual(os.path.getsize(os.path.join(folder, "model.onnx")), 70_000)
        shutil.rmtree(folder)
        self.check(run(*args, env=environment(no_proxy="localhost", HF_ENDPOINT=self.site)), 0)
        self.assertEqual(len(os.listdir(folder)), 2)
        told = json.loads(self.check(run("fetch", "--list", "--json", "--output_dir", self.path("models")), 0).out)
        here = [row["name"] for row in told["models"] if row["is_here"]]
        self.assertEqual(here, ["wd14-swinv2-v2"])
        self.assertIn("hash not known", self.check(run("fetch", "--list"), 0).out)
        self.check(run("fetch", "no-such-model"), 2, "--list")
        self.check(run("fetch"), 2, "--list")

    def test_a_folder_that_cannot_be_written(self):
        os.makedirs(self.path("got/file.bin.part"))
        self.fetch("plain/file.bin", code=5)
        shutil.rmtree(self.path("got"))
        self.write("got", "a file")
        self.fetch("plain/file.bin", code=5)


if __name__ == "__main__":
    unittest.main()
