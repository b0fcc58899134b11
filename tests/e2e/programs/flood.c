/* flood.c - sends every connection more than it takes: what waits then waits for a reason, which
 * the tests of verdicts (tests/netns) have brought about and crew is to name.
 *
 *   [app] rate        bytes a second that each connection is offered
 *         size        bytes of a message
 *         late_ms     stands still for so long in nearly every turn: a worker that is late
 *         congestion  the congestion control of every connection: cubic, bbr */
#include <crew/crew.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	uint64_t rate, size;
	useconds_t late_us;
	crew_shared *message;
	uint64_t then_ms, owed; /* thousandths of a byte */
} flood;

static void send_one(crew_conn *c, void *arg)
{
	(void)arg;
	crew_send_shared(c, flood.message);
}

/* What time has brought, up to a second's worth after a standstill. */
static void on_tick(crew_worker *w, void *arg)
{
	uint64_t now_ms = crew_now_ms();
	(void)arg;
	flood.owed += (now_ms - flood.then_ms) * flood.rate;
	flood.then_ms = now_ms;
	if (flood.owed > flood.rate * 1000)
		flood.owed = flood.rate * 1000;
	for (; flood.owed >= flood.size * 1000; flood.owed -= flood.size * 1000)
		crew_each(crew_worker_service(w), send_one, NULL);
}

static void stand_still(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	usleep(flood.late_us);
}

static void on_open(crew_conn *c)
{
	const char *name = crew_setting("congestion", "cubic");
	if (setsockopt(crew_fd(c), IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
		crew_abort(c);
}

static int on_worker_start(crew_worker *w)
{
	flood.rate = (uint64_t)crew_setting_int("rate", 4 << 20);
	flood.size = (uint64_t)crew_setting_int("size", 4096);
	flood.late_us = (useconds_t)crew_setting_int("late_ms", 0) * 1000;
	flood.then_ms = crew_now_ms();
	char *text = malloc(flood.size);
	if (!text)
		return -ENOMEM;
	memset(text, '.', flood.size);
	flood.message = crew_shared_new((crew_bytes){ text, flood.size });
	free(text);
	if (!flood.message || crew_timer_every(w, 10, on_tick, NULL) < 0)
		return -ENOMEM;
	if (flood.late_us > 0 && crew_timer_every(w, 1, stand_still, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	crew_shared_unref(flood.message);
}

int main(int argc, char **argv)
{
	static const crew_service service = {
		.name = "flood",
		.listen = "tcp://127.0.0.1:7105",
		.stop_timeout_ms = 100,
		.linger_ms = 100,
		.on_worker_start = on_worker_start,
		.on_worker_stop = on_worker_stop,
		.on_open = on_open,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &service } });
}
