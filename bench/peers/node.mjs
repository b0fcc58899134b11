// node.mjs MODE PORT [CERT KEY] - Node's own HTTP server, or the package `ws` on it: `http` answers
// hello, `json` an object, `file` a file of the working directory, `ws` echoes, `fanout` sends what one
// client says to all of them; `tcp` echoes on bare sockets. With a certificate all of that over TLS.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { WebSocketServer } from 'ws';

const [mode, port, cert, key] = process.argv.slice(2);
const tls = cert && { cert: readFileSync(cert), key: readFileSync(key) };
const host = '127.0.0.1';

const onMessage = {
	ws: (server, client, data, isBinary) => client.send(data, { binary: isBinary }),
	fanout: (server, client, data, isBinary) => {
		for (const other of server.clients) other.send(data, { binary: isBinary });
	},
};

const answers = {
	http: (response) => {
		response.writeHead(200, {
			'Content-Type': 'text/plain; charset=utf-8',
			'Content-Length': 13,
		});
		response.end('Hello, World!');
	},
	json: (response) => {
		const text = JSON.stringify({ message: 'Hello, World!' });
		response.writeHead(200, {
			'Content-Type': 'application/json',
			'Content-Length': Buffer.byteLength(text),
		});
		response.end(text);
	},
	file: (response) => {
		const file = 'large.bin';
		response.writeHead(200, {
			'Content-Type': 'application/octet-stream',
			'Content-Length': statSync(file).size,
		});
		createReadStream(file).pipe(response);
	},
};

const serve = (listener) => (tls ? createHttps(tls, listener) : createServer(listener));

if (mode === 'tcp') {
	const echo = (socket) => {
		socket.setNoDelay();
		socket.on('error', () => {});
		socket.pipe(socket);
	};
	(tls ? createTls(tls, echo) : createTcp(echo)).listen(Number(port), host, 1024);
} else if (answers[mode]) {
	serve((request, response) => answers[mode](response)).listen(Number(port), host, 1024);
} else {
	const server = new WebSocketServer({
		server: serve().listen(Number(port), host, 1024),
		perMessageDeflate: false,
		maxPayload: 1 << 20,
	});
	server.on('connection', (client) => {
		client.on('error', () => {});
		client.on('message', (data, isBinary) => onMessage[mode](server, client, data, isBinary));
	});
}
