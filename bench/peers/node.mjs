// node.mjs MODE PORT - Node's own HTTP server, or the package `ws` on it: `http` answers hello, `json`
// an object, `file` a file of the working directory, `ws` echoes, `fanout` sends what one client says
// to all of them.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const [mode, port] = process.argv.slice(2);
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

if (answers[mode]) {
	const server = createServer((request, response) => answers[mode](response));
	server.listen(Number(port), host, 1024);
} else {
	const server = new WebSocketServer({
		host,
		port: Number(port),
		backlog: 1024,
		perMessageDeflate: false,
		maxPayload: 1 << 20,
	});
	server.on('connection', (client) => {
		client.on('error', () => {});
		client.on('message', (data, isBinary) => onMessage[mode](server, client, data, isBinary));
	});
}
