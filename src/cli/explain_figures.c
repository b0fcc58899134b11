/* explain_figures.c - the figures behind a verdict, each with its unit and what it says, by the
 * thresholds of net/verdict.h. */
#include "cli/explain_parts.h"

#include "net/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum {
	MUCH_LOSS = 1,        /* percent of segments that had to be sent again */
	LONG_WAIT_US = 20000, /* in queues on the way; less is everyday life */
};

/* The next figure, named; its value and what it says are written by the caller. */
static struct crew__explain_figure *next_figure(
	struct crew__explain_figures *figures, const char *name)
{
	static struct crew__explain_figure spare; /* never read: there is room for all */
	if (figures->count >= CREW__EXPLAIN_FIGURES)
		return &spare;
	struct crew__explain_figure *figure = &figures->figure[figures->count++];
	snprintf(figure->name, sizeof(figure->name), "%s", name);
	return figure;
}

__attribute__((format(printf, 2, 3))) static void value(
	struct crew__explain_figure *figure, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(figure->value, sizeof(figure->value), format, arguments);
	va_end(arguments);
}

static void says(struct crew__explain_figure *figure, const char *text)
{
	snprintf(figure->says, sizeof(figure->says), "%s", text);
}

static bool half(uint64_t part, uint64_t whole)
{
	return whole > 0 && part * 2 >= whole;
}

static void add_part(struct crew__explain_figures *figures, const char *name, uint32_t part,
	uint32_t whole, const char *if_half, const char *if_not)
{
	struct crew__explain_figure *figure = next_figure(figures, name);
	value(figure, "%" PRIu32 " of %" PRIu32 " ms", part, whole);
	says(figure, half(part, whole) ? if_half : if_not);
}

/* What is acknowledged in each round trip: so much of the window is in use. */
static uint64_t window_in_use(const struct crew__slow_figures *f)
{
	return f->window_ms ? (uint64_t)f->acked * f->rtt_us / ((uint64_t)f->window_ms * 1000) : 0;
}

static void add_peer_window(
	struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	struct crew__explain_figure *figure = next_figure(figures, "peer's window");
	value(figure, "%s, at most %s so far", crew__unit_bytes(f->peer_window).text,
		crew__unit_bytes(f->peer_window_most).text);
	if (f->peer_window < f->segment_size)
		says(figure, "shut: until its program reads, its kernel takes nothing more");
	else if (f->peer_window < f->peer_window_most / 2)
		says(figure, "it has shrunk: its program reads more slowly than we send");
	else
		says(figure, "open, and as large as it ever was, or nearly");
	if (f->peer_window_most == 0)
		return; /* shut whenever we looked */
	figure = next_figure(figures, "of it in use");
	value(figure, "%s a round trip", crew__unit_bytes(window_in_use(f)).text);
	says(figure, window_in_use(f) < f->peer_window_most / 2
			     ? "less than half: a full window would be the reader's doing"
			     : "nearly all: a full window would be the doing of a long way");
}

static void add_loss(struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	struct crew__explain_figure *figure = next_figure(figures, "sent again");
	bool much = f->retransmits && (uint64_t)f->retransmits * CREW__PERCENT >=
					      (uint64_t)f->segments_out * MUCH_LOSS;
	value(figure, "%" PRIu32 " of %" PRIu32 " segments, %" PRIu32 " thought lost",
		f->retransmits, f->segments_out, f->lost);
	says(figure, much              ? "the network loses what is sent"
		     : f->segments_out ? "hardly anything is lost on the way"
				       : "nothing was sent in this time");
}

static void add_silence(struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	struct crew__explain_figure *figure = next_figure(figures, "last acknowledgement");
	bool silent = f->timeouts >= CREW__VERDICT_TIMEOUTS &&
		      f->last_ack_ms >= CREW__VERDICT_SILENCE_MS;
	value(figure, "%s ago, %" PRIu32 " tries unanswered", crew__unit_ms(f->last_ack_ms).text,
		f->timeouts);
	says(figure, silent ? "nobody answers there" : "the peer's kernel is there");
}

static void add_way(struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	struct crew__explain_figure *figure = next_figure(figures, "round trip");
	value(figure, "%.1f ms, least %.1f, timeout %.0f", f->rtt_us / 1000.0,
		f->min_rtt_us / 1000.0, f->rto_us / 1000.0);
	bool grown = f->min_rtt_us && f->rtt_us / 2 > f->min_rtt_us &&
		     f->rtt_us - f->min_rtt_us > LONG_WAIT_US;
	says(figure, grown ? "far above the least: what is sent waits somewhere on the way"
			   : "the way itself is as quick as it was");
	figure = next_figure(figures, "delivery");
	value(figure, "%s/s, %s acknowledged", crew__unit_bytes(f->delivery_rate).text,
		crew__unit_bytes(f->acked).text);
	says(figure, "what reaches the peer: last measured, and in this time");
	figure = next_figure(figures, "on the way");
	value(figure, "%s, congestion window %s", crew__unit_bytes(f->unacked).text,
		crew__unit_bytes((uint64_t)f->congestion_window * f->segment_size).text);
	says(figure, "sent and not acknowledged, of what the kernel thinks the way holds");
}

static void add_tcp(struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	add_part(figures, "kernel had something to send", f->busy_ms, f->window_ms,
		"so it did not wait for us", "it ran dry while messages wait here: we are late");
	add_part(figures, "held by the peer's window", f->peer_limited_ms, f->busy_ms,
		"that window is the limit", "that window is not the limit");
	add_peer_window(figures, f);
	add_part(figures, "held by our send buffer", f->buffer_limited_ms, f->busy_ms,
		"our kernel's buffer is too small for the way",
		"our kernel's buffer is large enough");
	add_loss(figures, f);
	add_silence(figures, f);
	add_way(figures, f);
}

static void add_kernel(struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	struct crew__explain_figure *figure = next_figure(figures, "in the kernel");
	value(figure, "%s %s", crew__unit_bytes(f->unsent).text,
		f->has_tcp ? "unsent" : "not read");
	says(figure, f->unsent ? "the kernel has not got rid of what it holds"
			       : "the kernel has sent all that it was given");
	figure = next_figure(figures, "kernel memory");
	value(figure, "%s of at most %s", crew__unit_bytes(f->kernel_memory).text,
		crew__unit_bytes(f->kernel_memory_most).text);
	says(figure, "what the send side costs there");
}

static void add_us(struct crew__explain_figures *figures, const struct crew__slow_figures *f)
{
	struct crew__explain_figure *figure = next_figure(figures, "left our queue");
	value(figure, "%s", crew__unit_bytes(f->drained).text);
	says(figure, f->drained ? "it moves" : "nothing moved in this time");
	add_part(figures, "our loop was late", f->late_ms, f->window_ms, "this worker is too busy",
		"this worker comes round in time");
	if (f->capped_ms)
		add_part(figures, "held by our rate cap", f->capped_ms, f->window_ms,
			"the cap is what it waits for", "the cap is not what it waits for");
}

void crew__explain_figures(
	const struct crew__explain *explain, struct crew__explain_figures *ret_figures)
{
	const struct crew__slow_figures *f = &explain->slow.figures;
	memset(ret_figures, 0, sizeof(*ret_figures));
	if (!explain->has_slow || f->at == 0)
		return;
	if (f->has_tcp)
		add_tcp(ret_figures, f);
	add_kernel(ret_figures, f);
	add_us(ret_figures, f);
}
