"""A collector that reads what it is pushed with OpenTelemetry's own protocol definitions.

Prints its port, then a line of JSON a request. Answers are its arguments, one after the other, the last one again and again: a status,
`partial`, which takes a request and says that it refused some of it, or `hang`, which never answers.
"""

import http.server
import json
import sys
import threading

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

answers = sys.argv[1:]


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        request = service.ExportMetricsServiceRequest.FromString(body)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        response = service.ExportMetricsServiceResponse()
        if answer == "partial":
            response.partial_success.rejected_data_points = 2
            response.partial_success.error_message = "too many"
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = {"path": self.path, "headers": headers, "request": MessageToDict(request), "answer": answer}
        print(json.dumps(told), flush=True)
        if answer == "hang":
            threading.Event().wait()
        self.send_response(200 if answer == "partial" else int(answer))
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(response.SerializeToString())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
server.serve_forever()
