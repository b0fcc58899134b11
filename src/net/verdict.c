#include "net/verdict.h"

/* At least half of it; of nothing there is no half. */
static bool half(uint64_t part, uint64_t whole)
{
	return whole > 0 && part * 2 >= whole;
}

static bool loop_was_late(const struct crew__slow_figures *f)
{
	return half(f->late_ms, f->window_ms);
}

/* How much of the peer's window was in use on average: what is acknowledged each round trip. */
static uint64_t window_in_use(const struct crew__slow_figures *f)
{
	return (uint64_t)f->acked * f->rtt_us / ((uint64_t)f->window_ms * 1000);
}

/* Its window is closed, and nothing got through. The kernel does not count this as held back where
 * the peer took back what its window had promised, and so lost what was on its way. */
static bool reader_is_shut(const struct crew__slow_figures *f)
{
	return f->peer_window < f->segment_size && f->acked == 0;
}

/* The peer's window held us back, and it is closed or far smaller than it once was. One that is as
 * large as ever and full all the time is not the reader's doing: the way is long. A congestion
 * control that paces itself to the reader's speed (bbr) is not held back for as long; there the
 * window itself has to be small when we look. */
static bool reader_holds_it(const struct crew__slow_figures *f)
{
	bool unused = window_in_use(f) < f->peer_window_most / 2;
	if (reader_is_shut(f))
		return true;
	if (half(f->peer_limited_ms, f->busy_ms))
		return unused || f->peer_window < f->segment_size;
	return half(f->peer_limited_ms, f->busy_ms / 2) && unused &&
	       f->peer_window < f->peer_window_most / 2;
}

static bool nobody_answers(const struct crew__slow_figures *f)
{
	return f->timeouts >= CREW__VERDICT_TIMEOUTS && f->last_ack_ms >= CREW__VERDICT_SILENCE_MS;
}

/* The kernel had nothing to send, while something waited with us: for half of the window, or for a
 * quarter when our loop is known to have been late. */
static bool kernel_was_idle(const struct crew__slow_figures *f)
{
	uint32_t idle = f->window_ms > f->busy_ms ? f->window_ms - f->busy_ms : 0;
	return !half(f->busy_ms, f->window_ms) || (loop_was_late(f) && idle >= f->window_ms / 4);
}

static bool kernel_is_dry(const struct crew__slow_figures *f)
{
	return f->unsent < CREW__VERDICT_DRY_SEGMENTS * f->segment_size;
}

/* Without TCP_INFO: there is no way to the peer that could be slow. What the kernel holds waits for
 * the reader, unless it moves on each time that we come round to it. */
static crew_verdict without_tcp(const struct crew__slow_figures *f)
{
	bool moves = f->unsent == 0 || f->drained > 0;
	if (loop_was_late(f) && moves)
		return CREW_VERDICT_US;
	return f->unsent > 0 ? CREW_VERDICT_READER_STALLED : CREW_VERDICT_NONE;
}

crew_verdict crew__verdict(const struct crew__slow_figures *f, uint64_t queued)
{
	if (queued == 0 || f->at == 0 || f->window_ms < CREW__VERDICT_WINDOW_LEAST_MS)
		return CREW_VERDICT_NONE;
	if (half(f->capped_ms, f->window_ms))
		return CREW_VERDICT_RATE;
	if (!f->has_tcp)
		return without_tcp(f);
	if (nobody_answers(f))
		return CREW_VERDICT_GONE;
	if (kernel_was_idle(f))
		return half(f->capped_ms, f->window_ms - f->busy_ms) ? CREW_VERDICT_RATE
								     : CREW_VERDICT_US;
	if (reader_holds_it(f))
		return CREW_VERDICT_READER_STALLED;
	if (half(f->buffer_limited_ms, f->busy_ms))
		return CREW_VERDICT_KERNEL_BUFFER;
	if (loop_was_late(f) && kernel_is_dry(f))
		return CREW_VERDICT_US;
	return CREW_VERDICT_NETWORK;
}

bool crew__verdict_is_clear(const struct crew__slow_figures *f, crew_verdict verdict)
{
	switch (verdict) {
	case CREW_VERDICT_RATE:
	case CREW_VERDICT_GONE:
		return true;
	case CREW_VERDICT_READER_STALLED:
		return f->has_tcp ? f->peer_window == 0 : f->drained == 0;
	default:
		return false;
	}
}
