/* herald.c - the moments at which the service manager is told something. */
#include "proc/herald.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_US UINT64_C(1000)

enum {
	STATUS_MS = 2000,
	FLUSH_MS = 100,
	SLACK_MS = 5000, /* on top of a bound: the manager is to be the last to lose patience */
	RECHECKS = 16,   /* while a worker stands still: so many looks in the manager's time */
	RECHECK_LEAST_MS = 20 /* but none sooner after another */
};

static bool is_silent(const struct crew__herald *herald)
{
	return !herald->notify || !herald->notify->on;
}

static void run_timer(struct crew__herald *herald, struct crew__timer *timer, uint64_t after_ns)
{
	if (crew__timer_start(herald->loop, timer, crew__clock_ns() + after_ns) < 0)
		crew__log(CREW_ERROR, "no memory for a timer: the service manager hears less");
}

/* ---- saying it ----------------------------------------------------------------------------- */

static void flush_later(struct crew__herald *herald)
{
	if (herald->notify->kept_count > 0 && herald->flush_timer.place == 0)
		run_timer(herald, &herald->flush_timer, FLUSH_MS * CREW__NS_PER_MS);
}

static void on_flush(struct crew__timer *timer)
{
	struct crew__herald *herald = crew__container_of(timer, struct crew__herald, flush_timer);
	crew__notify_flush(herald->notify);
	flush_later(herald);
}

static void make_status(const struct crew__herald *herald, char text[CREW__NOTIFY_STATUS_MAX])
{
	struct crew__figures figures;
	struct crew__still still;
	uint64_t now_ns = crew__clock_ns();
	uint64_t limit_ns = herald->notify->watchdog_ns / 2;
	char raw[2 * CREW__NOTIFY_STATUS_MAX], words[256];
	crew__figures_read(herald->registry, now_ns, &figures);
	crew__figures_text(&figures, herald->state, words, sizeof(words));
	bool stands = herald->still != 0 &&
		      crew__still_find(herald->registry, now_ns, limit_ns, &still);
	snprintf(raw, sizeof(raw), "%s%s%s%s%s", stands ? still.text : "", stands ? "; " : "",
		words, herald->remark[0] ? "; " : "", herald->remark);
	crew__notify_clean(raw, text, CREW__NOTIFY_STATUS_MAX);
}

/* `lines` are said with the present STATUS behind them. */
static void tell(struct crew__herald *herald, const char *lines)
{
	char text[CREW__NOTIFY_MAX];
	make_status(herald, herald->told);
	snprintf(text, sizeof(text), "%s\nSTATUS=%s", lines, herald->told);
	crew__notify_news(herald->notify, text, -1);
	flush_later(herald);
}

static void refresh_status(struct crew__herald *herald)
{
	char status[CREW__NOTIFY_STATUS_MAX], text[CREW__NOTIFY_MAX];
	make_status(herald, status);
	if (strcmp(status, herald->told) == 0)
		return;
	snprintf(text, sizeof(text), "STATUS=%s", status);
	if (crew__notify_pass(herald->notify, text) == 0)
		memcpy(herald->told, status, sizeof(status));
}

static void on_status(struct crew__timer *timer)
{
	struct crew__herald *herald = crew__container_of(timer, struct crew__herald, status_timer);
	refresh_status(herald);
	run_timer(herald, timer, STATUS_MS * CREW__NS_PER_MS);
}

/* ---- signs of life ------------------------------------------------------------------------- */

static void withhold(struct crew__herald *herald, const struct crew__still *still)
{
	if (herald->still != still->pid) {
		crew__log(CREW_ERROR,
			"%s: the service manager gets no sign of life until it goes on, and will "
			"end the program after %llu ms without one",
			still->text, herald->notify->watchdog_ns / CREW__NS_PER_MS);
		herald->still = still->pid;
		refresh_status(herald);
	}
}

static void give_sign(struct crew__herald *herald)
{
	bool stood = herald->still != 0;
	herald->still = 0;
	crew__notify_pass(herald->notify, "WATCHDOG=1");
	if (!stood)
		return;
	crew__log(CREW_INFO, "every worker's loop turns again");
	refresh_status(herald);
}

static void on_watchdog(struct crew__timer *timer)
{
	struct crew__herald *herald = crew__container_of(
		timer, struct crew__herald, watchdog_timer);
	uint64_t time_ns = herald->notify->watchdog_ns, after_ns = time_ns / 2;
	struct crew__still still;
	if (crew__still_find(herald->registry, crew__clock_ns(), time_ns / 2, &still)) {
		withhold(herald, &still);
		/* When it goes on, the sign must not come too late. */
		after_ns = crew__max(time_ns / RECHECKS, RECHECK_LEAST_MS * CREW__NS_PER_MS);
	} else {
		give_sign(herald);
	}
	run_timer(herald, timer, after_ns);
}

/* ---- the moments --------------------------------------------------------------------------- */

static void start_timers(struct crew__herald *herald)
{
	run_timer(herald, &herald->status_timer, STATUS_MS * CREW__NS_PER_MS);
	if (herald->notify->watchdog_ns > 0)
		run_timer(herald, &herald->watchdog_timer, herald->notify->watchdog_ns / 2);
	flush_later(herald);
}

void crew__herald_begin(struct crew__herald *herald, struct crew__notify *notify,
	struct crew__loop *loop, const struct crew__registry *registry)
{
	*herald = (struct crew__herald){
		.notify = notify,
		.loop = loop,
		.registry = registry,
		.state = CREW__HERALD_STARTING,
		.status_timer = { .fn = on_status },
		.watchdog_timer = { .fn = on_watchdog },
		.flush_timer = { .fn = on_flush },
	};
	if (!is_silent(herald))
		start_timers(herald);
}

void crew__herald_end(struct crew__herald *herald)
{
	if (!herald->notify)
		return;
	crew__timer_stop(herald->loop, &herald->status_timer);
	crew__timer_stop(herald->loop, &herald->watchdog_timer);
	crew__timer_stop(herald->loop, &herald->flush_timer);
	crew__notify_flush(herald->notify);
	herald->notify = NULL;
}

static uint64_t bound_us(uint64_t bound_ms)
{
	return (bound_ms + SLACK_MS) * CREW__NS_PER_MS / NS_PER_US;
}

void crew__herald_starting(struct crew__herald *herald, uint64_t bound_ms)
{
	char lines[64];
	if (is_silent(herald))
		return;
	snprintf(lines, sizeof(lines), "EXTEND_TIMEOUT_USEC=%" PRIu64, bound_us(bound_ms));
	tell(herald, lines);
}

void crew__herald_ready(struct crew__herald *herald)
{
	if (is_silent(herald))
		return;
	herald->state = CREW__HERALD_RUNNING;
	tell(herald, "READY=1");
}

void crew__herald_reloading(struct crew__herald *herald, uint64_t bound_ms)
{
	char lines[128];
	if (is_silent(herald) || herald->state == CREW__HERALD_STOPPING)
		return;
	herald->state = CREW__HERALD_RELOADING;
	herald->remark[0] = '\0';
	snprintf(lines, sizeof(lines),
		"RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nEXTEND_TIMEOUT_USEC=%" PRIu64,
		crew__clock_ns() / NS_PER_US, bound_us(bound_ms));
	tell(herald, lines);
}

void crew__herald_hangup(struct crew__herald *herald)
{
	char lines[64];
	if (is_silent(herald) || herald->state != CREW__HERALD_RELOADING)
		return;
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		crew__clock_ns() / NS_PER_US);
	tell(herald, lines);
}

void crew__herald_reloaded(struct crew__herald *herald, const char *why)
{
	if (is_silent(herald) || herald->state != CREW__HERALD_RELOADING)
		return;
	herald->state = CREW__HERALD_RUNNING;
	snprintf(herald->remark, sizeof(herald->remark), "%s", why ? why : "");
	tell(herald, "READY=1");
}

void crew__herald_stopping(struct crew__herald *herald, uint64_t bound_ms)
{
	char lines[64];
	if (is_silent(herald))
		return;
	herald->state = CREW__HERALD_STOPPING;
	crew__timer_stop(herald->loop, &herald->watchdog_timer); /* a stop has its own deadline */
	snprintf(lines, sizeof(lines), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
		bound_us(bound_ms));
	tell(herald, lines);
}

void crew__herald_failed(struct crew__notify *notify, int error, const char *why)
{
	char status[CREW__NOTIFY_STATUS_MAX], text[CREW__NOTIFY_MAX];
	crew__notify_clean(why, status, sizeof(status));
	if (error < 0)
		snprintf(text, sizeof(text), "STATUS=not started: %s\nERRNO=%d", status, -error);
	else
		snprintf(text, sizeof(text), "STATUS=not started: %s", status);
	crew__notify_news(notify, text, -1);
}

/* ---- across a re-exec ---------------------------------------------------------------------- */

int crew__herald_save(const struct crew__herald *herald, json_t *into)
{
	char remark[sizeof(herald->remark)];
	if (is_silent(herald))
		return 0;
	crew__notify_clean(herald->remark, remark, sizeof(remark));
	int failed = json_object_set_new(into, "state", json_integer(herald->state));
	failed |= json_object_set_new(into, "remark", json_string(remark));
	return failed ? -ENOMEM : crew__notify_save(herald->notify, into);
}

void crew__herald_restore(struct crew__herald *herald, const json_t *from)
{
	char lines[64];
	json_int_t state = json_integer_value(json_object_get(from, "state"));
	const char *remark = json_string_value(json_object_get(from, "remark"));
	crew__notify_restore(herald->notify, from);
	if (is_silent(herald))
		return;
	herald->state = state >= CREW__HERALD_STARTING && state <= CREW__HERALD_STOPPING
				? (enum crew__herald_state)state
				: CREW__HERALD_RUNNING;
	snprintf(herald->remark, sizeof(herald->remark), "%s", remark ? remark : "");
	start_timers(herald);
	snprintf(lines, sizeof(lines), "MAINPID=%d", (int)getpid());
	tell(herald, lines);
}
