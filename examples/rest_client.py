"""A client of the REST API, in any language's standard library: enrol, search, delete.

Starts an access point of its own; against yours, leave ``Role`` out and set ``url``.
"""

import io
import json
import tempfile
import urllib.request
import uuid

import airreid
from simulation.processes import Role


def call(method: str, url: str, image: object = None) -> dict:
    """One request, with an image as a form's file; the JSON answer."""
    request = urllib.request.Request(url, method=method)
    if image is not None:
        png, boundary = io.BytesIO(), uuid.uuid4().hex
        image.save(png, "PNG")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.png"'
        start = f"{head}\r\nContent-Type: image/png\r\n\r\n".encode()
        request.data = start + png.getvalue() + f"\r\n--{boundary}--\r\n".encode()
        request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this very machine
    with direct.open(request) as response:
        return json.loads(response.read() or b"{}")


people, queries = airreid.synthetic_people(5)
with tempfile.TemporaryDirectory() as data:
    serve = ["ap", "serve", "--data-dir", data, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with Role("access point", serve) as ap:
        url = f"http://127.0.0.1:{ap.ready['http_port']}/v1"
        for image, subject, camera in zip(*people, strict=True):
            entry = call("POST", f"{url}/entries?subject={subject}&camera={camera}", image)
        print("last entry:", entry)
        answer = call("POST", f"{url}/search?top_k=3", queries.images[0])
        for hit in answer["subjects"]:
            print(f"{queries.subjects[0]} resembles {hit['subject']}: {hit['score']:.3f}")
        print("deleted:", call("DELETE", f"{url}/subjects/{queries.subjects[0]}"))
        print("left:", [subject["id"] for subject in call("GET", f"{url}/subjects")["subjects"]])
