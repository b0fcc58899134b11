/* test_conn_slow.c - looks at connections with a backlog: what the kernel says becomes figures,
 * figures a verdict that does not flutter, a long backlog an episode that is told once. The kernel
 * and the clock are real, or say what a test wants them to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/conn_slow.h"
#include "net_ways.h"
#include "stats/rings.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- a kernel and a clock that can be told what to say ------------------------------------- */

static struct {
	bool tcp; /* TCP_INFO is `info`, as if the kernel knew `known` bytes of it */
	struct tcp_info info;
	size_t known;
	bool fails;        /* getsockopt and ioctl fail */
	uint64_t ahead_ns; /* of the real clock */
} fake;

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict size)
{
	if (fake.fails) {
		errno = ENOBUFS;
		return -1;
	}
	if (fake.tcp && level == IPPROTO_TCP && name == TCP_INFO) {
		if (*size > fake.known)
			*size = (socklen_t)fake.known;
		memcpy(value, &fake.info, *size);
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fake.fails) {
		errno = ENOTTY;
		return -1;
	}
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int error = (int)syscall(SYS_clock_gettime, clock, time);
	uint64_t ns = (uint64_t)time->tv_nsec + fake.ahead_ns;
	if (clock == CLOCK_MONOTONIC) {
		time->tv_sec += (time_t)(ns / UINT64_C(1000000000));
		time->tv_nsec = (long)(ns % UINT64_C(1000000000));
	}
	return error;
}

/* ---- a connection with a backlog ----------------------------------------------------------- */

static struct world world;
static int peer = -1;

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	(void)msg;
}

static void small(struct crew__service_settings *settings)
{
	settings->max_send_buffer = 64 * 1024;
}

static void open_world(const char *listen)
{
	static crew_service service;
	service = (crew_service){ .name = "slow", .listen = listen, .on_message = on_message };
	assert_true(world_open(&world, &service, CREW__ENGINE_EPOLL, small));
	told_anew();
}

static crew_conn *conn(void)
{
	return world_conn(&world, 0);
}

/* Send until `bytes` wait: the peer's end takes only so much. */
static void fill(size_t bytes)
{
	static char block[4096];
	for (int i = 0; i < 100000 && crew_queued(conn()) < bytes; i++) {
		crew_send(conn(), (crew_bytes){ block, sizeof(block) });
		world_turn(&world, 0);
	}
	assert_true(crew_queued(conn()) >= bytes);
}

static int clean_up(void **state)
{
	(void)state;
	if (peer >= 0)
		close(peer);
	peer = -1;
	world_clean_up(&world);
	memset(&fake, 0, sizeof(fake));
	return 0;
}

static const struct crew__record_slow *slow(void)
{
	return &world.worker->net.stats.slow[0];
}

/* Time passes; the loop turns, and the connection is looked at when it is due. */
static void pass(unsigned ms)
{
	fake.ahead_ns += ms * UINT64_C(1000000);
	world_turn(&world, 0);
	crew__slow_look(conn(), crew__net_now(&world.worker->net));
}

/* A connection over a socket pair, that waits, of which the kernel says what `fake.info` holds. */
static void begin_with_tcp(size_t queued)
{
	open_world("tcp://127.0.0.1:1");
	peer = world_connect(&world);
	assert_true(peer >= 0);
	fake.tcp = true;
	fake.known = sizeof(fake.info);
	fake.info = (struct tcp_info){
		.tcpi_snd_mss = 1448,
		.tcpi_snd_wnd = 50000,
		.tcpi_rtt = 10000,
		.tcpi_min_rtt = 5000,
		.tcpi_notsent_bytes = 70000,
	};
	fill(queued);
	pass(300); /* the first look, which remembers */
}

enum cause {
	PEER,
	BUFFER,
	NOBODY,
	IDLE
};

/* So many milliseconds of which the kernel tells who was the limit. */
static void live_through(unsigned ms, enum cause cause)
{
	unsigned us = ms * 1000;
	fake.info.tcpi_busy_time += cause == IDLE ? 0 : us;
	fake.info.tcpi_rwnd_limited += cause == PEER ? us : 0;
	fake.info.tcpi_sndbuf_limited += cause == BUFFER ? us : 0;
	pass(ms);
}

/* ---- figures ------------------------------------------------------------------------------- */

static void test_figures_are_differences(void **state)
{
	(void)state;
	begin_with_tcp(1);
	fake.info.tcpi_bytes_sent = 90000;
	fake.info.tcpi_bytes_retrans = 10000;
	fake.info.tcpi_bytes_acked = 50001;
	fake.info.tcpi_data_segs_out = 60;
	fake.info.tcpi_total_retrans = 7;
	fake.info.tcpi_delivery_rate = 123456;
	live_through(1000, NOBODY);
	const struct crew__slow_figures *f = &slow()->figures;
	assert_int_equal(slow()->id, crew_id(conn()));
	assert_true(f->has_tcp);
	assert_in_range(f->window_ms, 900, 1400);
	assert_int_equal(f->busy_ms, 1000);
	assert_int_equal(f->peer_limited_ms, 0);
	assert_int_equal(f->acked, 50001);
	assert_int_equal(f->unacked, 29999);
	assert_int_equal(f->segments_out, 60);
	assert_int_equal(f->retransmits, 7);
	assert_int_equal(f->delivery_rate, 123456);
	assert_int_equal(f->unsent, 70000);
	assert_int_equal(f->peer_window, 50000);
	assert_true(f->kernel_memory > 0 && f->kernel_memory_most > 0);
	assert_int_equal(world.worker->net.stats.cold[0].kernel_unsent, 70000);
	live_through(1000, PEER);
	assert_int_equal(f->acked, 0);
	assert_int_equal(f->retransmits, 0);
	assert_int_equal(f->busy_ms, 1000);
	assert_int_equal(f->peer_limited_ms, 1000);
}

/* Counters of 32 bits come round. */
static void test_counters_wrap(void **state)
{
	(void)state;
	begin_with_tcp(1);
	fake.info.tcpi_data_segs_out = UINT32_MAX - 1;
	fake.info.tcpi_total_retrans = UINT32_MAX;
	live_through(1000, NOBODY);
	fake.info.tcpi_data_segs_out = 8;
	fake.info.tcpi_total_retrans = 2;
	live_through(1000, NOBODY);
	assert_int_equal(slow()->figures.segments_out, 10);
	assert_int_equal(slow()->figures.retransmits, 3);
}

static void test_largest_window_is_kept(void **state)
{
	(void)state;
	begin_with_tcp(1);
	fake.info.tcpi_snd_wnd = 80000;
	live_through(1000, NOBODY);
	fake.info.tcpi_snd_wnd = 100;
	live_through(1000, NOBODY);
	assert_int_equal(slow()->figures.peer_window, 100);
	assert_int_equal(slow()->figures.peer_window_most, 80000);
}

/* An old kernel gives less: without who was the limit there is no judging as of TCP, and a newer
 * one gives more, which is not ours. */
static void test_kernels_of_all_ages(void **state)
{
	(void)state;
	begin_with_tcp(1);
	fake.known = offsetof(struct tcp_info, tcpi_busy_time);
	fake.info.tcpi_probes = 9;
	live_through(1000, NOBODY);
	live_through(1000, NOBODY);
	assert_false(slow()->figures.has_tcp);
	assert_int_not_equal(slow()->verdict, CREW_VERDICT_GONE);
	fake.known = offsetof(struct tcp_info, tcpi_sndbuf_limited) + sizeof(uint64_t);
	fake.info.tcpi_unacked = 3;
	live_through(1000, NOBODY);
	assert_true(slow()->figures.has_tcp);
	assert_int_equal(slow()->figures.peer_window, 0);
	assert_int_equal(slow()->figures.delivery_rate, fake.info.tcpi_delivery_rate);
	assert_int_equal(slow()->figures.unacked, 3 * 1448);
	fake.known = sizeof(fake.info);
	fake.info.tcpi_bytes_sent = 10; /* fewer than were acknowledged, with the handshake's */
	fake.info.tcpi_bytes_acked = 11;
	live_through(1000, NOBODY);
	assert_int_equal(slow()->figures.unacked, 0);
}

static void test_kernel_refuses(void **state)
{
	(void)state;
	begin_with_tcp(1);
	live_through(1000, PEER);
	fake.fails = true;
	for (int i = 0; i < 4; i++)
		pass(1000);
	assert_false(slow()->figures.has_tcp);
	assert_int_equal(slow()->figures.unsent, 0);
	assert_int_equal(slow()->figures.kernel_memory, 0);
	assert_int_equal(slow()->figures.rtt_us, 0);
}

/* What explain says of policy and limits: at each look, and as soon as they change. */
static void test_what_holds_for_it(void **state)
{
	const struct crew__slow_bounds *bounds;
	(void)state;
	begin_with_tcp(4096);
	bounds = &slow()->bounds;
	assert_int_equal(bounds->policy, CREW_DROP_NEWEST);
	assert_int_equal(bounds->limit, 64 * 1024);
	assert_false(bounds->tight);
	assert_int_equal(bounds->rate_bytes, 0);
	assert_int_equal(crew_set_policy(conn(), CREW_REPLACE), 0);
	assert_int_equal(bounds->policy, CREW_REPLACE);
	assert_int_equal(crew_set_rate(conn(), 100000, 70), 0);
	assert_int_equal(bounds->rate_bytes, 100000);
	assert_int_equal(bounds->rate_messages, 70);
	struct crew__limits limits = world.worker->net.limits;
	limits.send_timeout = 500;
	limits.soft_limit = 1 << 20;
	limits.soft_time = 300;
	limits.max_send_buffer = 32 * 1024;
	crew__net_set_limits(&world.worker->net, &limits);
	assert_int_equal(bounds->send_timeout, 500);
	assert_int_equal(bounds->soft_limit, 1 << 20);
	assert_int_equal(bounds->soft_time, 300);
	assert_int_equal(bounds->limit, 32 * 1024);
	assert_int_equal(bounds->policy, CREW_REPLACE); /* its own */
	assert_int_equal(crew_set_rate(conn(), CREW_OFF, CREW_OFF), 0);
	assert_int_equal(bounds->rate_bytes, 0);
	assert_int_equal(bounds->rate_messages, 0);
}

static void test_late_loop(void **state)
{
	(void)state;
	begin_with_tcp(1);
	live_through(310, IDLE);
	assert_true(slow()->figures.late_ms < 100);
	live_through(5000, IDLE); /* it was to be looked at after half a second */
	assert_in_range(slow()->figures.late_ms, 3000, slow()->figures.window_ms);
}

/* How long a callback takes counts, once something is looked at. */
static void stand_still(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	fake.ahead_ns += 700 * UINT64_C(1000000);
}

static void test_long_turns(void **state)
{
	(void)state;
	begin_with_tcp(1);
	live_through(450, NOBODY);
	assert_int_equal(crew_post(world.worker, stand_still, NULL), 0);
	world_turn(&world, 0);
	live_through(300, NOBODY);
	assert_in_range(slow()->figures.late_ms, 690, 800);
}

static void test_held_back_by_the_cap(void **state)
{
	(void)state;
	begin_with_tcp(1);
	struct crew__rare *rare = crew__conn_rare(conn());
	rare->capped_since = crew__net_now(&world.worker->net);
	conn()->flags |= CREW__C_HELD_BACK;
	live_through(1000, IDLE);
	assert_in_range(slow()->figures.capped_ms, 900, 1300);
	conn()->flags &= ~(uint32_t)CREW__C_HELD_BACK;
	rare->capped_hundredths = crew__net_now(&world.worker->net) - rare->capped_since;
	live_through(1000, IDLE);
	assert_true(slow()->figures.capped_ms < 100);
	assert_int_equal(slow()->history[0].verdict, CREW_VERDICT_RATE);
}

/* ---- verdicts ------------------------------------------------------------------------------ */

static void test_verdict_needs_two_looks(void **state)
{
	(void)state;
	begin_with_tcp(1);
	live_through(1000, NOBODY);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NONE);
	assert_int_equal(slow()->candidate, CREW_VERDICT_NETWORK);
	live_through(1000, NOBODY);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NETWORK);
	live_through(1000, BUFFER);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NETWORK);
	live_through(1000, NOBODY); /* that one look was nothing */
	live_through(1000, BUFFER);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NETWORK);
	live_through(1000, BUFFER);
	assert_int_equal(slow()->verdict, CREW_VERDICT_KERNEL_BUFFER);
	assert_int_equal(slow()->changes, 2);
	assert_int_equal(slow()->history[0].verdict, CREW_VERDICT_NETWORK);
	assert_int_equal(slow()->history[1].verdict, CREW_VERDICT_KERNEL_BUFFER);
	assert_true(slow()->history[0].at < slow()->history[1].at);
}

static void test_clear_verdict_stands_at_once(void **state)
{
	(void)state;
	begin_with_tcp(1);
	fake.info.tcpi_snd_wnd = 0;
	live_through(1000, PEER);
	assert_int_equal(slow()->verdict, CREW_VERDICT_READER_STALLED);
	fake.info.tcpi_snd_wnd = 50000;
	fake.info.tcpi_retransmits = 5; /* clear too, but not the first any more */
	fake.info.tcpi_last_ack_recv = 5000;
	live_through(1000, NOBODY);
	assert_int_equal(slow()->verdict, CREW_VERDICT_READER_STALLED);
	live_through(1000, NOBODY);
	assert_int_equal(slow()->verdict, CREW_VERDICT_GONE);
	fake.info.tcpi_retransmits = 0;
	fake.info.tcpi_probes = 3;
	live_through(1000, PEER);
	assert_int_equal(slow()->figures.timeouts, 3);
}

static void test_history_goes_round(void **state)
{
	(void)state;
	begin_with_tcp(1);
	for (int i = 0; i < 3 * CREW__SLOW_HISTORY; i++)
		live_through(4200, i / 2 % 2 ? BUFFER : NOBODY);
	assert_int_equal(slow()->changes, 3 * CREW__SLOW_HISTORY / 2);
	for (unsigned i = 0; i < CREW__SLOW_HISTORY; i++)
		assert_int_not_equal(slow()->history[i].verdict, CREW_VERDICT_NONE);
}

/* ---- when ---------------------------------------------------------------------------------- */

static uint32_t pause_after_look(void)
{
	uint32_t now = crew__net_now(&world.worker->net);
	return crew__slow_look(conn(), now) - now;
}

static void test_looks_become_fewer(void **state)
{
	(void)state;
	begin_with_tcp(1);
	assert_in_range(pause_after_look(), 1, 30);
	live_through(310, NOBODY);
	assert_in_range(pause_after_look(), 1, 45);
	for (int i = 0; i < 3; i++) {
		live_through(1010, NOBODY);
		assert_in_range(pause_after_look(), 46, 100);
	}
	for (int i = 0; i < 4; i++)
		live_through(4200, NOBODY);
	assert_in_range(pause_after_look(), 300, 400);
	live_through(4200, BUFFER); /* something happens: soon again */
	assert_in_range(pause_after_look(), 1, 100);
}

/* Asked sooner than due, it looks at nothing. */
static void test_not_yet(void **state)
{
	(void)state;
	begin_with_tcp(1);
	live_through(1000, NOBODY);
	struct crew__slow_figures before = slow()->figures;
	fake.info.tcpi_rtt = 1;
	pass(20);
	assert_int_equal(slow()->figures.rtt_us, before.rtt_us);
	assert_int_equal(slow()->figures.at, before.at);
}

static void test_nothing_waits(void **state)
{
	(void)state;
	open_world("tcp://127.0.0.1:1");
	peer = world_connect(&world);
	world.worker->net.stats.cold[0].kernel_unsent = 5;
	assert_int_equal(crew__slow_look(conn(), 100), CREW__WHEEL_OUT);
	assert_int_equal(world.worker->net.stats.cold[0].kernel_unsent, 0);
	assert_int_equal(slow()->id, 0);
	crew__slow_over(conn()); /* nor is there an episode that could end */
	assert_int_equal(counter(&world, "slow"), 0);
}

/* A short backlog was no episode, so nobody said that it was over: the next one is judged by
 * itself.
 */
static void test_backlog_begins_anew(void **state)
{
	(void)state;
	begin_with_tcp(1);
	fake.info.tcpi_snd_wnd = 0;
	live_through(310, PEER);
	assert_int_equal(slow()->verdict, CREW_VERDICT_READER_STALLED);
	assert_false(conn()->flags & CREW__C_SLOW);
	peer_drinks(&world, peer);
	fake.info.tcpi_snd_wnd = 50000;
	live_through(2000, IDLE);
	fill(1);
	pass(300);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NONE);
	assert_int_equal(slow()->candidate, CREW_VERDICT_NONE);
	live_through(310, NOBODY);
	assert_in_range(slow()->figures.window_ms, 300, 600);
	assert_int_equal(slow()->candidate, CREW_VERDICT_NETWORK);
}

/* A backlog long after the last one begins anew: its window is not the time between. */
static void test_window_begins_anew(void **state)
{
	(void)state;
	begin_with_tcp(1);
	live_through(1000, NOBODY);
	live_through(100000, PEER);
	live_through(310, NOBODY);
	assert_in_range(slow()->figures.window_ms, 300, 900);
	assert_int_equal(slow()->figures.peer_limited_ms, 0);
}

/* ---- episodes ------------------------------------------------------------------------------ */

static struct crew__event next_event(uint64_t *after)
{
	struct crew__event event = { .kind = CREW__EVENT_NONE };
	uint64_t missed = 0;
	crew__events_next(world.worker->net.stats.events, after, &event, &missed);
	assert_int_equal(missed, 0);
	return event;
}

static void test_episode(void **state)
{
	uint64_t after = 0;
	(void)state;
	begin_with_tcp(1);
	live_through(310, NOBODY);
	assert_false(conn()->flags & CREW__C_SLOW);
	assert_int_equal(counter(&world, "slow"), 0);
	live_through(1000, NOBODY);
	assert_true(conn()->flags & CREW__C_SLOW);
	assert_int_equal(counter(&world, "slow"), 1);
	assert_int_equal(counter(&world, "slow_total"), 1);
	assert_true(slow()->slow);
	assert_int_equal(slow()->episodes, 1);
	struct crew__event begin = next_event(&after);
	assert_int_equal(begin.kind, CREW__EVENT_SLOW_BEGIN);
	assert_int_equal(begin.conn, crew_id(conn()));
	assert_int_equal(begin.verdict, CREW_VERDICT_NETWORK);
	assert_int_equal(begin.values[0], crew_queued(conn()));

	crew__slow_note_loss(conn(), 3, 0);
	crew__slow_note_loss(conn(), 2, 4);
	live_through(1000, NOBODY);
	assert_int_equal(counter(&world, "slow_total"), 1); /* still the same one */
	uint64_t peak = slow()->peak_bytes;
	assert_true(peak >= crew_queued(conn()) && peak > 0);
	assert_int_equal(slow()->drained, 0);
	conn()->record->bytes_out += 700; /* some leave while it lasts */
	live_through(1000, NOBODY);
	assert_int_equal(slow()->drained, 700);
	conn()->record->bytes_out -= 700;
	peer_drinks(&world, peer);
	crew__slow_over(conn()); /* if nobody else has noticed */
	assert_false(conn()->flags & CREW__C_SLOW);
	assert_int_equal(counter(&world, "slow"), 0);
	assert_int_equal(counter(&world, "slow_total"), 1);
	assert_false(slow()->slow);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NONE);
	assert_true(slow()->ended != 0 && slow()->ended >= slow()->began);
	assert_int_equal(slow()->lost, 5);
	assert_int_equal(slow()->replaced, 4);
	assert_true(slow()->drained >= peak);
	struct crew__event end = next_event(&after);
	assert_int_equal(end.kind, CREW__EVENT_SLOW_END);
	assert_int_equal(end.verdict, CREW_VERDICT_NETWORK); /* what it was */
	assert_int_equal(end.reason, CREW_END_REASONS);      /* it recovered */
	assert_int_equal(end.values[1], peak);
	assert_int_equal(end.values[2], 5);
	assert_int_equal(end.values[3], 4);
	assert_int_equal(next_event(&after).kind, CREW__EVENT_NONE);
	crew__slow_note_loss(conn(), 1, 1); /* in no episode */
	assert_int_equal(slow()->lost, 5);

	fill(1); /* the next one starts at nothing */
	pass(300);
	live_through(1010, BUFFER);
	live_through(1010, BUFFER);
	assert_int_equal(slow()->episodes, 2);
	assert_int_equal(slow()->lost, 0);
	assert_int_equal(slow()->ended, 0);
}

/* Over half full, it does not take a second once it is known why. */
static void test_half_full(void **state)
{
	(void)state;
	begin_with_tcp(33 * 1024);
	fake.info.tcpi_snd_wnd = 0;
	live_through(310, PEER);
	assert_true(conn()->flags & CREW__C_SLOW);
	assert_int_equal(slow()->verdict, CREW_VERDICT_READER_STALLED);
}

/* The slot's next connection finds nothing of the one before. */
static void test_next_in_the_slot(void **state)
{
	uint64_t after = 0;
	(void)state;
	begin_with_tcp(1);
	live_through(1010, BUFFER);
	live_through(1010, BUFFER);
	uint64_t first = crew_id(conn());
	assert_int_equal(slow()->id, first);
	assert_true(conn()->flags & CREW__C_SLOW);
	crew_abort(conn());
	crew__slow_over(conn());
	world_settle(&world);
	assert_null(conn());
	assert_int_equal(counter(&world, "slow"), 0);
	next_event(&after);
	struct crew__event end = next_event(&after);
	assert_int_equal(end.kind, CREW__EVENT_SLOW_END);
	assert_int_equal(end.reason, CREW_END_APP);
	close(peer);
	peer = world_connect(&world);
	fill(1);
	pass(300);
	assert_int_equal(slow()->id, crew_id(conn()));
	assert_int_not_equal(slow()->id, first);
	assert_int_equal(slow()->verdict, CREW_VERDICT_NONE);
	assert_int_equal(slow()->changes, 0);
	assert_int_equal(slow()->episodes, 0);
	assert_int_equal(slow()->figures.window_ms, 0);
}

/* ---- real sockets -------------------------------------------------------------------------- */

static void look_for(unsigned ms)
{
	for (unsigned i = 0; i < ms / 50; i++) {
		world_pass(&world, 50);
		crew__slow_look(conn(), crew__net_now(&world.worker->net));
	}
}

static void test_real_tcp_reader_stops(void **state)
{
	(void)state;
	open_world("tcp://127.0.0.1:1");
	peer = world_connect_tcp(&world, NULL);
	fill(60 * 1024);
	look_for(1500);
	assert_int_equal(slow()->verdict, CREW_VERDICT_READER_STALLED);
	assert_true(slow()->figures.has_tcp);
	assert_true(slow()->figures.peer_limited_ms * 2 >= slow()->figures.window_ms);
	assert_true(slow()->figures.kernel_memory > 0);
	assert_true(slow()->figures.unsent > 0);
	assert_true(conn()->flags & CREW__C_SLOW);
	peer_drinks(&world, peer);
	assert_int_equal(crew_queued(conn()), 0);
}

static void test_real_unix_reader_stops(void **state)
{
	(void)state;
	open_world("unix:///nowhere");
	peer = world_connect(&world);
	fill(60 * 1024);
	look_for(1500);
	assert_false(slow()->figures.has_tcp);
	assert_true(slow()->figures.unsent > 0);
	assert_int_equal(slow()->verdict, CREW_VERDICT_READER_STALLED);
	assert_true(conn()->flags & CREW__C_SLOW);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_figures_are_differences),
		TEST(test_counters_wrap),
		TEST(test_largest_window_is_kept),
		TEST(test_kernels_of_all_ages),
		TEST(test_kernel_refuses),
		TEST(test_what_holds_for_it),
		TEST(test_late_loop),
		TEST(test_long_turns),
		TEST(test_held_back_by_the_cap),
		TEST(test_verdict_needs_two_looks),
		TEST(test_clear_verdict_stands_at_once),
		TEST(test_history_goes_round),
		TEST(test_looks_become_fewer),
		TEST(test_not_yet),
		TEST(test_nothing_waits),
		TEST(test_backlog_begins_anew),
		TEST(test_window_begins_anew),
		TEST(test_episode),
		TEST(test_half_full),
		TEST(test_next_in_the_slot),
		TEST(test_real_tcp_reader_stops),
		TEST(test_real_unix_reader_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
