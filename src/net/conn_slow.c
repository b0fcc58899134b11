#include "net/conn_slow.h"

#include "base/clock.h"
#include "net/conn_out.h"
#include "net/verdict.h"

#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	/* Hundredths of a second. */
	SECOND = 100,
	SECOND_LOOK = 30,    /* after the first, which only remembers */
	THIRD_LOOK = 45,     /* after the second: a verdict by the time an episode begins */
	LONGEST_PAUSE = 400, /* between looks at a connection of which nothing changes */
	WHEEL_LATE = 20,     /* the wheel itself may be so late */
	STALE = 600,         /* what was remembered longer ago is no window's beginning */
	STEADY = 3,          /* looks without a change until they become fewer */
	US_PER_MS = 1000,
};

/* What getsockopt() gave, in one shape for kernels of all ages. */
struct sample {
	uint64_t at_ns;
	struct tcp_info tcp; /* zeroed beyond what the kernel knows */
	uint32_t unsent;     /* bytes that the kernel holds and has not sent */
	uint32_t memory, memory_most;
	bool has_tcp;
};

static uint32_t cut(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* ---- the kernel ---------------------------------------------------------------------------- */

/* Since Linux 4.10 it tells who was the limit for how long; without that there is no judging. */
static bool read_tcp(int fd, struct tcp_info *ret_tcp)
{
	socklen_t size = sizeof(*ret_tcp);
	size_t least = offsetof(struct tcp_info, tcpi_sndbuf_limited) +
		       sizeof(ret_tcp->tcpi_sndbuf_limited);
	memset(ret_tcp, 0, sizeof(*ret_tcp));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret_tcp, &size) == 0 && size >= least;
}

static void read_memory(int fd, struct sample *sample)
{
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(memory);
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0)
		return;
	/* A Unix socket's bytes are charged as memory in flight, not as a queue. */
	sample->memory = memory[SK_MEMINFO_WMEM_QUEUED];
	if (memory[SK_MEMINFO_WMEM_ALLOC] > sample->memory)
		sample->memory = memory[SK_MEMINFO_WMEM_ALLOC];
	sample->memory_most = memory[SK_MEMINFO_SNDBUF];
}

/* For a Unix socket: what the peer has not read. */
static uint32_t read_unsent(int fd, bool is_tcp)
{
	int unsent = 0;
	if (ioctl(fd, is_tcp ? SIOCOUTQNSD : SIOCOUTQ, &unsent) < 0 || unsent < 0)
		return 0;
	return (uint32_t)unsent;
}

static void take_sample(const crew_conn *c, struct sample *ret_sample)
{
	bool is_tcp = crew__conn_is_tcp(c);
	*ret_sample = (struct sample){ .at_ns = crew__clock_ns() };
	ret_sample->has_tcp = is_tcp && read_tcp(c->fd, &ret_sample->tcp);
	ret_sample->unsent = ret_sample->has_tcp ? ret_sample->tcp.tcpi_notsent_bytes
						 : read_unsent(c->fd, is_tcp);
	read_memory(c->fd, ret_sample);
}

/* ---- figures ------------------------------------------------------------------------------- */

/* How long the cap has held it back, in all. */
static uint32_t capped_so_far(const crew_conn *c, uint32_t now)
{
	const struct crew__rare *rare = crew__conn_rare(c);
	uint32_t present = c->flags & CREW__C_HELD_BACK ? now - rare->capped_since : 0;
	return rare->capped_hundredths + present;
}

static void remember(crew_conn *c, const struct sample *sample, uint32_t now)
{
	struct crew__slow_past *past = &crew__conn_rare(c)->past;
	past->at_ns = sample->at_ns;
	past->in_turns_ns = c->net->in_turns_ns;
	past->busy_us = sample->tcp.tcpi_busy_time;
	past->peer_limited_us = sample->tcp.tcpi_rwnd_limited;
	past->buffer_limited_us = sample->tcp.tcpi_sndbuf_limited;
	past->acked = sample->tcp.tcpi_bytes_acked;
	past->segments_out = sample->tcp.tcpi_data_segs_out;
	past->retransmits = sample->tcp.tcpi_total_retrans;
	past->bytes_out = c->record->bytes_out;
	past->capped = capped_so_far(c, now);
}

/* Sent and not acknowledged, in bytes; of an old kernel that does not count bytes, in whole
 * segments. */
static uint32_t unacked(const struct tcp_info *tcp)
{
	uint64_t sent = tcp->tcpi_bytes_sent - tcp->tcpi_bytes_retrans;
	if (tcp->tcpi_bytes_sent == 0)
		return cut((uint64_t)tcp->tcpi_unacked * tcp->tcpi_snd_mss);
	/* The handshake's acknowledgement counts as a byte. */
	return sent >= tcp->tcpi_bytes_acked ? cut(sent - tcp->tcpi_bytes_acked) : 0;
}

static void fill_state(struct crew__slow_figures *f, const struct sample *sample)
{
	const struct tcp_info *tcp = &sample->tcp;
	f->has_tcp = sample->has_tcp;
	f->unsent = sample->unsent;
	f->kernel_memory = sample->memory;
	f->kernel_memory_most = sample->memory_most;
	f->rtt_us = tcp->tcpi_rtt;
	f->min_rtt_us = tcp->tcpi_min_rtt == UINT32_MAX ? 0 : tcp->tcpi_min_rtt;
	f->rttvar_us = tcp->tcpi_rttvar;
	f->rto_us = tcp->tcpi_rto;
	f->peer_window = tcp->tcpi_snd_wnd;
	if (f->peer_window > f->peer_window_most)
		f->peer_window_most = f->peer_window;
	f->congestion_window = tcp->tcpi_snd_cwnd;
	f->segment_size = tcp->tcpi_snd_mss;
	f->unacked = unacked(tcp);
	f->lost = tcp->tcpi_lost;
	f->timeouts = tcp->tcpi_retransmits;
	if (tcp->tcpi_probes > f->timeouts)
		f->timeouts = tcp->tcpi_probes;
	f->last_ack_ms = tcp->tcpi_last_ack_recv;
	f->delivery_rate = tcp->tcpi_delivery_rate;
}

/* How long our loop was in its turns, or else late to come to this one. */
static uint32_t lateness(const crew_conn *c, uint32_t now, uint32_t window_ms)
{
	const struct crew__slow_past *past = &crew__conn_rare(c)->past;
	uint32_t by = now - past->due - WHEEL_LATE;
	uint64_t late_ms = (int32_t)by > 0 ? (uint64_t)by * 10 : 0;
	uint64_t turns_ms = (c->net->in_turns_ns - past->in_turns_ns) / CREW__NS_PER_MS;
	if (turns_ms > late_ms)
		late_ms = turns_ms;
	return late_ms > window_ms ? window_ms : (uint32_t)late_ms;
}

static void fill_window(
	const crew_conn *c, struct crew__slow_figures *f, const struct sample *sample, uint32_t now)
{
	const struct crew__slow_past *past = &crew__conn_rare(c)->past;
	const struct tcp_info *tcp = &sample->tcp;
	f->window_ms = cut((sample->at_ns - past->at_ns) / CREW__NS_PER_MS);
	f->acked = cut(tcp->tcpi_bytes_acked - past->acked);
	f->segments_out = tcp->tcpi_data_segs_out - past->segments_out;
	f->retransmits = tcp->tcpi_total_retrans - past->retransmits;
	f->busy_ms = cut((tcp->tcpi_busy_time - past->busy_us) / US_PER_MS);
	f->peer_limited_ms = cut((tcp->tcpi_rwnd_limited - past->peer_limited_us) / US_PER_MS);
	f->buffer_limited_ms = cut(
		(tcp->tcpi_sndbuf_limited - past->buffer_limited_us) / US_PER_MS);
	f->capped_ms = (capped_so_far(c, now) - past->capped) * 10;
	f->drained = c->record->bytes_out - past->bytes_out;
	f->late_ms = lateness(c, now, f->window_ms);
}

/* ---- the record ---------------------------------------------------------------------------- */

static struct crew__record_slow *record_of(const crew_conn *c)
{
	return &c->net->stats.slow[c->slot];
}

static bool is_ours(const crew_conn *c, const struct crew__record_slow *slow)
{
	return atomic_load_explicit(&slow->id, memory_order_relaxed) == c->record->id;
}

/* The slot's record may be of the connection before: nobody is to read one that is half of each. */
static struct crew__record_slow *begin_record(crew_conn *c)
{
	struct crew__record_slow *slow = record_of(c);
	if (is_ours(c, slow))
		return slow;
	crew__conn_touch(c); /* of `past`; and that there is such a record at all */
	atomic_store_explicit(&slow->id, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memset((char *)slow + sizeof(slow->id), 0, sizeof(*slow) - sizeof(slow->id));
	return slow;
}

static void publish(const crew_conn *c, struct crew__record_slow *slow)
{
	atomic_store_explicit(&slow->id, c->record->id, memory_order_release);
}

static void set_verdict(struct crew__record_slow *slow, crew_verdict verdict, uint32_t now)
{
	if (slow->verdict == verdict)
		return;
	slow->history[slow->changes % CREW__SLOW_HISTORY] = (struct crew__slow_change){
		.at = now,
		.verdict = (uint8_t)verdict,
	};
	slow->changes++;
	slow->verdict = (uint8_t)verdict;
}

/* Two in a row; the first of a backlog at once where it is clear. A look that cannot tell changes
 * nothing. */
static void judge(struct crew__record_slow *slow, uint64_t queued, uint32_t now)
{
	crew_verdict seen = crew__verdict(&slow->figures, queued);
	bool first = slow->verdict == CREW_VERDICT_NONE;
	if (seen == CREW_VERDICT_NONE)
		return;
	if (seen == slow->candidate || (first && crew__verdict_is_clear(&slow->figures, seen)))
		set_verdict(slow, seen, now);
	slow->candidate = (uint8_t)seen;
}

/* ---- episodes ------------------------------------------------------------------------------ */

static void note_peak(const crew_conn *c, struct crew__record_slow *slow)
{
	if (c->record->bytes_queued > slow->peak_bytes)
		slow->peak_bytes = c->record->bytes_queued;
	if (c->record->messages_queued > slow->peak_messages)
		slow->peak_messages = c->record->messages_queued;
	if (c->flags & CREW__C_SLOW)
		slow->drained = c->record->bytes_out - crew__conn_rare(c)->past.began_out;
}

static void begin_episode(crew_conn *c, struct crew__record_slow *slow, uint32_t now)
{
	struct crew__slab *s = c->net->stats.slab;
	c->flags |= CREW__C_SLOW;
	crew__conn_rare(c)->past.began_out = c->record->bytes_out;
	slow->slow = true;
	slow->episodes++;
	slow->began = now;
	slow->ended = 0;
	slow->peak_bytes = 0;
	slow->peak_messages = 0;
	slow->lost = 0;
	slow->replaced = 0;
	slow->drained = 0;
	note_peak(c, slow);
	crew__slab_begin(s);
	s->slow++;
	s->slow_total++;
	crew__slab_end(s);
}

/* Over half full it is an episode as soon as it is known why, after a second in any case. */
static bool episode_is_due(const crew_conn *c, const struct crew__record_slow *slow, uint32_t now)
{
	const struct crew__record *r = c->record;
	if (c->flags & CREW__C_SLOW)
		return false;
	bool known = slow->verdict != CREW_VERDICT_NONE;
	return now - r->queued_since >= SECOND ||
	       (known && r->bytes_queued * 2 > c->net->limits.max_send_buffer);
}

void crew__slow_note_loss(crew_conn *c, uint32_t lost, uint32_t replaced)
{
	struct crew__record_slow *slow = record_of(c);
	if (!(c->flags & CREW__C_SLOW) || !is_ours(c, slow))
		return;
	note_peak(c, slow);
	slow->lost += lost;
	slow->replaced += replaced;
}

/* Its backlog is over: the next one is judged anew. */
static void forget(crew_conn *c, uint32_t now)
{
	struct crew__record_slow *slow = record_of(c);
	c->net->stats.cold[c->slot].kernel_unsent = 0;
	crew__conn_rare(c)->past.looks = 0;
	if (!is_ours(c, slow))
		return;
	slow->candidate = CREW_VERDICT_NONE;
	set_verdict(slow, CREW_VERDICT_NONE, now);
}

void crew__slow_over(crew_conn *c)
{
	struct crew__record_slow *slow = record_of(c);
	struct crew__slab *s = c->net->stats.slab;
	uint32_t now = crew__net_now(c->net);
	if (!(c->flags & CREW__C_SLOW))
		return;
	crew__conn_clear(c, CREW__C_SLOW);
	crew__slab_begin(s);
	s->slow--;
	crew__slab_end(s);
	slow->slow = false;
	slow->ended = now ? now : 1;
	slow->drained = c->record->bytes_out - crew__conn_rare(c)->past.began_out;
	c->net->ops->on_episode(c, false); /* while its verdict stands */
	if (c->record->bytes_queued == 0)
		forget(c, now);
}

/* ---- looking ------------------------------------------------------------------------------- */

void crew__slow_turn(struct crew__net *net)
{
	net->in_turns_ns += crew__clock_ns() - net->clock->ns;
	if ((int32_t)(crew__net_now(net) - net->looked_at) > STALE)
		net->looked_at = 0;
}

/* Fewer and fewer while nothing leaves and no verdict changes. */
static uint32_t next_pause(struct crew__slow_past *past, bool changed)
{
	if (past->looks == 1)
		return SECOND_LOOK;
	if (past->looks == 2)
		return THIRD_LOOK;
	past->idle = changed ? 0 : (uint8_t)(past->idle + (past->idle <= STEADY));
	if (past->idle < STEADY)
		return SECOND;
	return past->idle == STEADY ? LONGEST_PAUSE / 2 : LONGEST_PAUSE;
}

/* A backlog, or its window, begins anew when the queue was empty since the last look, or that is
 * long ago. */
static bool is_first(const crew_conn *c, uint32_t now)
{
	const struct crew__slow_past *past = &crew__conn_rare(c)->past;
	return past->id != c->record->id || past->looks == 0 ||
	       past->queued_since != c->record->queued_since || (int32_t)(now - past->due) > STALE;
}

static void begin_looking(
	crew_conn *c, struct crew__record_slow *slow, const struct sample *sample, uint32_t now)
{
	struct crew__slow_past *past = &crew__conn_touch(c)->past;
	if (past->id != c->record->id)
		*past = (struct crew__slow_past){ .id = c->record->id };
	past->looks = 1;
	past->idle = 0;
	slow->candidate = CREW_VERDICT_NONE;
	if (past->queued_since != c->record->queued_since)
		set_verdict(slow, CREW_VERDICT_NONE, now);
	past->queued_since = c->record->queued_since;
	remember(c, sample, now);
}

/* What this look says, into the record. True when something has changed since the last. */
static bool look(
	crew_conn *c, struct crew__record_slow *slow, const struct sample *sample, uint32_t now)
{
	struct crew__slow_past *past = &crew__conn_rare(c)->past;
	uint8_t before = slow->verdict;
	fill_window(c, &slow->figures, sample, now);
	remember(c, sample, now);
	past->looks = (uint8_t)(past->looks + (past->looks < UINT8_MAX));
	judge(slow, c->record->bytes_queued, now);
	return slow->verdict != before || slow->candidate != slow->verdict ||
	       slow->figures.drained > 0;
}

static void fill_bounds(const crew_conn *c, struct crew__slow_bounds *bounds)
{
	const struct crew__limits *limits = &c->net->limits;
	const struct crew__rate *rate = &crew__conn_rare(c)->rate;
	bool capped = c->flags & CREW__C_CAPPED;
	*bounds = (struct crew__slow_bounds){
		.limit = crew__conn_limit(c),
		.tight = c->flags & CREW__C_TIGHT,
		.policy = (uint8_t)crew__policy_of_conn(c),
		.send_timeout = limits->send_timeout,
		.soft_limit = limits->soft_limit,
		.soft_time = limits->soft_time,
		.rate_bytes = capped ? rate->bytes_per_s : 0,
		.rate_messages = capped ? rate->messages_per_s : 0,
	};
}

/* Of one that was never looked at nothing is read: to read there would cost memory. */
void crew__slow_note_bounds(crew_conn *c)
{
	struct crew__record_slow *slow = record_of(c);
	if (crew__conn_rare(c)->past.id == c->record->id && is_ours(c, slow))
		fill_bounds(c, &slow->bounds);
}

uint32_t crew__slow_look(crew_conn *c, uint32_t now)
{
	struct crew__slow_past *past = &crew__conn_rare(c)->past;
	if (c->record->bytes_queued == 0) {
		forget(c, now);
		return CREW__WHEEL_OUT;
	}
	bool first = is_first(c, now);
	if (!first && (int32_t)(past->due - now) > 0)
		return past->due;
	struct sample sample;
	take_sample(c, &sample);
	struct crew__record_slow *slow = begin_record(c);
	bool changed = true;
	slow->figures.at = now ? now : 1;
	fill_state(&slow->figures, &sample);
	fill_bounds(c, &slow->bounds);
	if (first)
		begin_looking(c, slow, &sample, now);
	else
		changed = look(c, slow, &sample, now);
	note_peak(c, slow);
	c->net->stats.cold[c->slot].kernel_unsent = sample.unsent;
	c->net->looked_at = now ? now : 1;
	bool begins = episode_is_due(c, slow, now);
	if (begins)
		begin_episode(c, slow, now);
	publish(c, slow);
	if (begins)
		c->net->ops->on_episode(c, true);
	past->due = now + next_pause(past, changed);
	return past->due == CREW__WHEEL_OUT ? 1 : past->due;
}
