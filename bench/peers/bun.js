// bun.js MODE PORT [CERT KEY] - Bun's server, whose WebSocket side is uWebSockets: `http` answers hello,
// `json` an object, `file` a file of the working directory, `ws` echoes, `fanout` publishes what one
// client says to all of them; `tcp` echoes on bare sockets. With a certificate all of that over TLS.
const [mode, port, cert, key] = process.argv.slice(2);
const tls = cert ? { cert: Bun.file(cert), key: Bun.file(key) } : undefined;

let server;

const echo = {
	message(client, message) {
		client.send(message);
	},
};

const fanout = {
	open(client) {
		client.subscribe('all');
	},
	message(client, message) {
		server.publish('all', message);
	},
};

const answers = {
	http: () => new Response('Hello, World!'),
	json: () =>
		new Response(JSON.stringify({ message: 'Hello, World!' }), {
			headers: { 'Content-Type': 'application/json' },
		}),
	file: () => new Response(Bun.file('large.bin')),
};

// What the kernel does not take is kept, in order, until it does.
const bareEcho = {
	open(socket) {
		socket.data = [];
	},
	data(socket, bytes) {
		const sent = socket.data.length ? 0 : socket.write(bytes);
		if (sent < bytes.length) socket.data.push(bytes.slice(sent));
	},
	drain(socket) {
		while (socket.data.length) {
			const sent = socket.write(socket.data[0]);
			if (sent < socket.data[0].length) {
				socket.data[0] = socket.data[0].slice(sent);
				return;
			}
			socket.data.shift();
		}
	},
};

if (mode === 'tcp') {
	Bun.listen({ hostname: '127.0.0.1', port: Number(port), tls, socket: bareEcho });
} else {
	server = Bun.serve({
		hostname: '127.0.0.1',
		port: Number(port),
		tls,
		fetch: answers[mode] ?? ((request, server) => {
			if (server.upgrade(request)) return;
			return new Response('no WebSocket', { status: 400 });
		}),
		websocket: {
			...(mode === 'fanout' ? fanout : echo),
			perMessageDeflate: false,
			maxPayloadLength: 1 << 20,
			idleTimeout: 0,
		},
	});
}
