/* main.c - crew_bench_loadgen: one run of one mode against a server on 127.0.0.1.
 *
 * Prints one JSON object on one line and exits with 0, or says on stderr what was wrong and exits
 * with 1. With --wait it first prints {"connected":N} and waits for a line on stdin; with --hold it
 * stays connected after the result until a line comes or stdin ends. */
#include "gen.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static const struct mode *const modes[] = {
	&mode_http,
	&mode_handshake,
	&mode_file,
	&mode_ws,
	&mode_tcp,
	&mode_fanout,
	&mode_stalled,
	&mode_idle,
	&mode_udp,
};

#define MODES (sizeof(modes) / sizeof(modes[0]))

_Noreturn static void usage(void)
{
	fputs("usage: crew_bench_loadgen http|handshake|file|ws|tcp|fanout|stalled|idle|udp --port N\n"
	      "                          [options]\n"
	      "  --connections N  (64)      --depth N        in flight on each connection (1)\n"
	      "  --payload N      (20)      --text           text messages instead of binary\n"
	      "  --json           a payload as JSON is (ws, tcp, fanout, stalled, idle)\n"
	      "  --deflate        permessage-deflate must be agreed on (WebSocket)\n"
	      "  --tls            TLS, whatever the certificate\n"
	      "  --path PATH      (/)       --expect BODY    (Hello, World!)\n"
	      "  --expect-file FILE         what the body must be (file)\n"
	      "  --warmup S       (0.5)     --seconds S      (3)\n"
	      "  --operations N   instead of warm-up and seconds\n"
	      "  --rate R         messages a second (stalled: 8)\n"
	      "  --stalled N      connections that never read (0)\n"
	      "  --pid PID        count this process's CPU time; may be given again\n"
	      "  --wait --hold    wait on stdin when connected, after the result\n",
		stderr);
	exit(2);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least || value > most)
		fail("'%s' is not a number from %llu to %llu", text, (unsigned long long)least,
			(unsigned long long)most);
	return value;
}

static double real(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0) || value > 1e6)
		fail("'%s' is not a number from 0 to a million", text);
	return value;
}

enum {
	OPT_PORT = 1,
	OPT_CONNECTIONS,
	OPT_DEPTH,
	OPT_PAYLOAD,
	OPT_TEXT,
	OPT_JSON,
	OPT_DEFLATE,
	OPT_TLS,
	OPT_PATH,
	OPT_EXPECT,
	OPT_EXPECT_FILE,
	OPT_WARMUP,
	OPT_SECONDS,
	OPT_OPERATIONS,
	OPT_RATE,
	OPT_STALLED,
	OPT_PID,
	OPT_WAIT,
	OPT_HOLD
};

static const struct option long_options[] = {
	{ "port", required_argument, NULL, OPT_PORT },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "payload", required_argument, NULL, OPT_PAYLOAD },
	{ "text", no_argument, NULL, OPT_TEXT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "deflate", no_argument, NULL, OPT_DEFLATE },
	{ "tls", no_argument, NULL, OPT_TLS },
	{ "path", required_argument, NULL, OPT_PATH },
	{ "expect", required_argument, NULL, OPT_EXPECT },
	{ "expect-file", required_argument, NULL, OPT_EXPECT_FILE },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "operations", required_argument, NULL, OPT_OPERATIONS },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "stalled", required_argument, NULL, OPT_STALLED },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "hold", no_argument, NULL, OPT_HOLD },
	{ 0 },
};

static void add_pid(struct options *o, const char *text)
{
	if (o->pid_count == sizeof(o->pids) / sizeof(o->pids[0]))
		fail("more processes than %u", o->pid_count);
	o->pids[o->pid_count++] = (int)number(text, 1, INT32_MAX);
}

static void take_option(struct options *o, int option)
{
	switch (option) {
	case OPT_PORT:
		o->port = (uint16_t)number(optarg, 1, 65535);
		break;
	case OPT_CONNECTIONS:
		o->connections = (unsigned)number(optarg, 1, 19000);
		break;
	case OPT_DEPTH:
		o->depth = (unsigned)number(optarg, 1, 256);
		break;
	case OPT_PAYLOAD:
		o->payload = (size_t)number(optarg, HEAD_DIGITS, 16u << 20);
		break;
	case OPT_TEXT:
		o->text = true;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_DEFLATE:
		o->deflate = true;
		break;
	case OPT_TLS:
		o->tls = true;
		break;
	case OPT_PATH:
		o->path = optarg;
		break;
	case OPT_EXPECT:
		o->expect = optarg;
		break;
	case OPT_EXPECT_FILE:
		o->expect_file = optarg;
		break;
	case OPT_WARMUP:
		o->warmup = real(optarg);
		break;
	case OPT_SECONDS:
		o->seconds = real(optarg);
		break;
	case OPT_OPERATIONS:
		o->operations = number(optarg, 1, UINT32_MAX);
		break;
	case OPT_RATE:
		o->rate = real(optarg);
		break;
	case OPT_STALLED:
		o->stalled = (unsigned)number(optarg, 0, 19000);
		break;
	case OPT_PID:
		add_pid(o, optarg);
		break;
	case OPT_WAIT:
		o->wait = true;
		break;
	case OPT_HOLD:
		o->hold = true;
		break;
	default:
		usage();
	}
}

static const struct mode *mode_named(const char *name)
{
	for (size_t i = 0; i < MODES; i++)
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	usage();
}

static void parse(struct gen *g, int argc, char **argv)
{
	struct options *o = &g->o;
	int option;

	*o = (struct options){
		.connections = 64,
		.depth = 1,
		.payload = HEAD_DIGITS,
		.path = "/",
		.expect = "Hello, World!",
		.warmup = 0.5,
		.seconds = 3,
	};
	if (argc < 2)
		usage();
	g->mode = mode_named(argv[1]);
	optind = 2;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(o, option);
	if (optind != argc || !o->port)
		usage();
	if (g->mode == &mode_stalled && o->rate <= 0)
		o->rate = 8;
	if (g->mode != &mode_stalled && (o->rate > 0 || o->stalled))
		fail("--rate and --stalled belong to the mode stalled");
	if (o->stalled >= o->connections)
		fail("one connection must read");
	if (o->deflate && !g->mode->websocket)
		fail("--deflate belongs to WebSocket");
	if (o->json && !g->mode->websocket && !g->mode->raw)
		fail("--json belongs to messages");
	if (o->tls && g->mode->datagrams)
		fail("--tls belongs to streams");
	if (g->mode->fresh && o->depth > 1)
		fail("--depth: a connection for each operation has no more than one");
	if (g->mode == &mode_idle)
		o->operations = o->connections;
}

static void connect_one(struct gen *g, struct conn *c)
{
	if (g->mode->fresh) {
		c->fd = -1;
		return;
	}
	c->fd = g->mode->datagrams ? dial_udp(g->o.port) : dial(g->o.port);
	if (g->o.tls)
		tls_connect(c);
	if (g->mode->websocket)
		ws_handshake(c, &g->o);
	if (c->index >= g->o.stalled)
		watch(g, c);
}

static void connect_all(struct gen *g)
{
	g->conns = must_alloc(g->o.connections * sizeof(*g->conns));
	for (unsigned i = 0; i < g->o.connections; i++) {
		g->conns[i].index = i;
		connect_one(g, &g->conns[i]);
	}
}

static void wait_for_go(struct gen *g)
{
	printf("{\"connected\":%u}\n", g->o.connections);
	fflush(stdout);
	loop_hold(g);
}

int main(int argc, char **argv)
{
	static struct gen g;

	parse(&g, argc, argv);
	g.in = must_alloc(IN_SIZE);
	g.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (g.epoll_fd < 0)
		fail("epoll_create1: %s", strerror(errno));
	if (g.mode->websocket || g.mode->raw)
		ws_prepare(&g);
	if (g.o.deflate)
		deflate_prepare(&g);
	if (g.o.tls)
		tls_prepare();
	connect_all(&g);
	if (g.o.wait)
		wait_for_go(&g);
	run_start(&g.run, &g.o);
	g.mode->start(&g);
	loop_run(&g);
	if (!g.run.operations)
		fail("no operation was answered within the measured time");
	printf("{\"mode\":\"%s\",\"connections\":%u,\"depth\":%u,", g.mode->name, g.o.connections,
		g.o.depth);
	if (g.mode->websocket || g.mode->raw || g.mode->datagrams)
		printf("\"payload\":%zu,", g.o.payload);
	run_print(&g.run, &g.o);
	if (g.mode->print)
		g.mode->print(&g);
	puts("}");
	fflush(stdout);
	if (g.o.hold)
		loop_hold(&g);
	return 0;
}
