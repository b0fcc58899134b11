/* log.c - lines of the log: who says them, in which form, and that nobody waits for them.
 *
 * Not here: what a line looks like (log_line.c), how bytes go to a descriptor (log_out.c), the
 * thread that writes files (log_thread.c), which descriptor that is (proc/log_file.c). */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct crew__log_state crew__log_state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.out = { .fd = STDERR_FILENO, .kind = CREW__LOG_CHANNEL },
	.kind = CREW__LOG_CHANNEL,
	.thread_fd = -1,
	.work = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
};

/* All but the level is set before there are threads. */
static struct {
	_Atomic int level;
	bool json;
	unsigned facility;
	struct crew__log_origin origin; /* its texts are below */
	char app[64], role[32], service[64];
} who = { .level = CREW_INFO, .facility = CREW__LOG_FACILITY_DAEMON, .origin = { .role = "crew" } };

#define STATE crew__log_state

/* ---- where to ------------------------------------------------------------------------------ */

static const char *keep(char *to, size_t size, const char *text)
{
	if (!text)
		return NULL;
	snprintf(to, size, "%s", text);
	return to;
}

static void use(int fd, bool journal)
{
	enum crew__log_kind kind = crew__log_kind_of(fd, journal);
	pthread_mutex_lock(&STATE.lock);
	STATE.journal = journal;
	crew__log_out_use(&STATE.out, fd, kind);
	STATE.kind = (int)kind;
	crew__log_thread_follow();
	pthread_mutex_unlock(&STATE.lock);
}

void crew__log_use(const struct crew__log_plan *plan)
{
	who.level = (int)plan->level;
	who.json = plan->json;
	who.facility = plan->facility ? plan->facility : CREW__LOG_FACILITY_DAEMON;
	who.origin.app = keep(who.app, sizeof(who.app), plan->origin.app);
	who.origin.role = keep(who.role, sizeof(who.role), plan->origin.role);
	who.origin.service = keep(who.service, sizeof(who.service), plan->origin.service);
	who.origin.worker = plan->origin.worker;
	who.origin.pid = plan->origin.pid;
	use(plan->fd, plan->journal);
}

void crew__log_open(int fd, crew_level level, const char *tag)
{
	crew__log_use(&(struct crew__log_plan){ .fd = fd, .level = level, .origin.role = tag });
}

void crew__log_switch(int fd)
{
	use(fd, STATE.journal);
}

void crew__log_set_level(crew_level level)
{
	who.level = (int)level;
}

bool crew__log_wants(crew_level level)
{
	return (int)level >= who.level && (unsigned)level <= CREW_ERROR;
}

/* ---- one line ------------------------------------------------------------------------------ */

static size_t write_entry(const struct crew__log_record *record, enum crew__log_kind kind,
	char entry[CREW__LOG_ENTRY_MAX])
{
	switch (kind) {
	case CREW__LOG_JOURNAL_STREAM:
		return crew__log_stream(record, who.json, entry);
	case CREW__LOG_SYSLOG:
		return crew__log_syslog(record, who.json, who.facility, entry);
	case CREW__LOG_JOURNAL:
		return crew__log_journal(record, who.json, who.facility, entry);
	case CREW__LOG_FILE:
	case CREW__LOG_CHANNEL:
	case CREW__LOG_STREAM:
		break;
	}
	return who.json ? crew__log_json(record, entry) : crew__log_text(record, entry);
}

static void count_lost(void)
{
	if (STATE.counter)
		__atomic_store_n(STATE.counter, STATE.out.lost, __ATOMIC_RELAXED);
	bool waits = STATE.out.len > 0 && STATE.thread_fd < 0, began = waits && !STATE.waits;
	STATE.waits = waits;
	if (began && STATE.on_wait)
		STATE.on_wait(STATE.on_wait_arg);
}

static bool offer(const char *entry, size_t length)
{
	if (crew__log_thread_takes())
		return crew__log_thread_put(entry, length);
	return crew__log_out_put(&STATE.out, entry, length);
}

/* Before the next line, so that they are told of once it is taken. */
static void tell_lost(const struct crew__log_record *next)
{
	char message[160], entry[CREW__LOG_ENTRY_MAX];
	uint64_t lost = STATE.out.lost;
	struct crew__log_record record = *next;
	struct crew__log_origin origin = who.origin;
	if (origin.pid == 0)
		origin.pid = getpid();
	int length = snprintf(message, sizeof(message),
		"lines lost before this one: %llu (the log did not take them: %s)",
		(unsigned long long)(lost - STATE.told),
		STATE.out.error == EAGAIN ? "who reads it is too slow" : strerror(STATE.out.error));
	record.level = CREW_WARN;
	record.origin = &origin;
	record.message = (crew_bytes){ message, (size_t)(length > 0 ? length : 0) };
	size_t size = write_entry(&record, STATE.out.kind, entry);
	if (!crew__log_thread_takes())
		crew__log_out_flush(&STATE.out);
	if (!crew__log_out_room(&STATE.out, size + CREW__LOG_ENTRY_MAX, 2))
		return; /* it would push out the next one */
	if (offer(entry, size))
		STATE.told = lost;
	else
		STATE.out.lost = lost; /* it is none of the lines that somebody misses */
}

static void tell(const struct crew__log_record *record)
{
	char entry[CREW__LOG_ENTRY_MAX];
	int callers_errno = errno; /* a caller may log first and then return -errno */
	enum crew__log_kind kind = (enum crew__log_kind)STATE.kind;
	size_t length = write_entry(record, kind, entry);
	pthread_mutex_lock(&STATE.lock);
	if (kind != STATE.out.kind) /* it has become another place meanwhile */
		length = write_entry(record, STATE.out.kind, entry);
	if (STATE.out.lost != STATE.told)
		tell_lost(record);
	offer(entry, length);
	count_lost();
	if (record->level >= CREW_WARN && !STATE.thread_behind)
		crew__log_thread_wait(CREW__LOG_PATIENCE_MS);
	pthread_mutex_unlock(&STATE.lock);
	errno = callers_errno;
}

void crew__log_for(const struct crew__log_origin *origin, crew_level level, crew_bytes message)
{
	struct crew__log_record record = {
		.level = level,
		.origin = origin,
		.message = message,
	};
	if (!crew__log_wants(level))
		return;
	clock_gettime(CLOCK_REALTIME, &record.time);
	tell(&record);
}

void crew__log_v(crew_level level, const char *format, va_list arguments)
{
	char message[CREW__LOG_LINE_MAX];
	struct crew__log_origin origin = who.origin;
	if (!crew__log_wants(level))
		return;
	if (origin.pid == 0)
		origin.pid = getpid();
	int length = vsnprintf(message, sizeof(message), format, arguments);
	crew__log_for(&origin, level,
		(crew_bytes){ message,
			crew__min((size_t)(length > 0 ? length : 0), sizeof(message) - 1) });
}

void crew__log(crew_level level, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	crew__log_v(level, format, arguments);
	va_end(arguments);
}

/* ---- what is lost, and what waits ------------------------------------------------------------ */

uint64_t crew__log_lost(void)
{
	pthread_mutex_lock(&STATE.lock);
	uint64_t lost = STATE.out.lost;
	pthread_mutex_unlock(&STATE.lock);
	return lost;
}

void crew__log_count_into(uint64_t *counter)
{
	pthread_mutex_lock(&STATE.lock);
	STATE.counter = counter;
	count_lost();
	pthread_mutex_unlock(&STATE.lock);
}

bool crew__log_waits(void)
{
	return STATE.waits;
}

void crew__log_on_wait(void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&STATE.lock);
	STATE.on_wait = fn;
	STATE.on_wait_arg = arg;
	if (fn && STATE.waits)
		fn(arg);
	pthread_mutex_unlock(&STATE.lock);
}

bool crew__log_flush(unsigned ms)
{
	int callers_errno = errno;
	pthread_mutex_lock(&STATE.lock);
	bool done = crew__log_thread_wait(ms);
	if (STATE.thread_fd < 0) {
		crew__log_out_flush(&STATE.out);
		done = done && STATE.out.len == 0;
	}
	count_lost();
	pthread_mutex_unlock(&STATE.lock);
	errno = callers_errno;
	return done;
}

/* ---- not too many -------------------------------------------------------------------------- */

bool crew__log_allowed(struct crew__log_rate *rate, uint32_t per_second, uint32_t *ret_left_out)
{
	uint64_t second = crew__clock_ns() / CREW__NS_PER_S;
	if (second != rate->second) {
		rate->second = second;
		rate->lines = 0;
	}
	if (rate->lines >= per_second) {
		rate->left_out++;
		return false;
	}
	rate->lines++;
	*ret_left_out = rate->left_out;
	rate->left_out = 0;
	return true;
}

bool crew__log_may(
	struct crew__log_rate *rate, uint32_t per_second, char ret_left_out[CREW__LEFT_OUT_MAX])
{
	uint32_t count = 0;
	bool allowed = crew__log_allowed(rate, per_second, &count);
	ret_left_out[0] = '\0';
	if (count > 0)
		snprintf(ret_left_out, CREW__LEFT_OUT_MAX, " (%u such lines left out)", count);
	return allowed;
}
