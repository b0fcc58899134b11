// bun.js MODE PORT - Bun's server, whose WebSocket side is uWebSockets: `http` answers hello, `json` an
// object, `file` a file of the working directory, `ws` echoes, `fanout` publishes what one client says
// to all of them.
const [mode, port] = process.argv.slice(2);

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

const server = Bun.serve({
	hostname: '127.0.0.1',
	port: Number(port),
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
