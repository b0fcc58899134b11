// bun.js MODE PORT - Bun's server, whose WebSocket side is uWebSockets: `http` answers hello, `ws`
// echoes, `fanout` publishes what one client says to all of them.
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

const server = Bun.serve({
	hostname: '127.0.0.1',
	port: Number(port),
	fetch(request, server) {
		if (mode !== 'http') {
			if (server.upgrade(request)) return;
			return new Response('no WebSocket', { status: 400 });
		}
		return new Response('Hello, World!');
	},
	websocket: {
		...(mode === 'fanout' ? fanout : echo),
		perMessageDeflate: false,
		maxPayloadLength: 1 << 20,
		idleTimeout: 0,
	},
});
