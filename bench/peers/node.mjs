// node.mjs MODE PORT - Node's own HTTP server, or the package `ws` on it: `http` answers hello,
// `ws` echoes, `fanout` sends what one client says to all of them.
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

if (mode === 'http') {
	const server = createServer((request, response) => {
		response.writeHead(200, {
			'Content-Type': 'text/plain; charset=utf-8',
			'Content-Length': 13,
		});
		response.end('Hello, World!');
	});
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
