/* http_log.c - the access log: a line for each exchange, gathered in the worker and written in
 * whole lines.
 *
 * Lines leave when half of the buffer is full, and a second after the first at the latest. Several
 * workers may have the same file open: each write is of whole lines, at most PIPE_BUF at once into
 * a pipe, which takes them as one piece; into a file they go by O_APPEND, and Linux' local file
 * systems keep such writes apart (POSIX promises no more than that they begin at the end; on a
 * network file system each worker should have a file of its own).
 *
 * Nothing here waits: a pipe that is full is asked again later, and what has no room meanwhile is
 * lost and counted (access_log_lost), as is what a full disk refuses.
 *
 * Not here: what a line looks like (web/access_line.c). */
#include "service/http.h"

#include "base/clock.h"
#include "net/address.h"
#include "web/access_line.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER_SIZE = 64 * 1024,
	TELL_AGAIN_S = 60 /* of lines that are lost */
};
_Static_assert(PIPE_BUF >= CREW__ACCESS_LINE_MAX, "a pipe takes a line as one piece");

struct crew__access_log {
	crew_worker *worker;
	const char *path;
	int fd;
	bool pipe; /* or anything else that is no file */
	bool torn; /* the last line that was written has no end: the next begins with one */
	bool told;
	uint64_t told_ns;
	struct crew__timer timer; /* runs while something waits */
	size_t len;
	char buffer[BUFFER_SIZE];
};

/* What the line wants to know once the request has gone. */
struct crew__access {
	int64_t unix_us;
	uint64_t head_us;
	uint64_t began_ns, body_ns, answer_ns, done_ns; /* 0: not yet */
	int version;
	char id[17];
	char client[128];
	crew_bytes method, target, agent, referer; /* views of `text` */
	char text[];
};

/* ---- writing ------------------------------------------------------------------------------- */

static void tell_loss(struct crew__access_log *log, const char *why)
{
	const struct crew__slab *s = log->worker->net.stats.slab;
	uint64_t now = crew__clock_ns();
	if (log->told && now - log->told_ns < TELL_AGAIN_S * CREW__NS_PER_S)
		return;
	log->told = true;
	log->told_ns = now;
	crew__log(CREW_WARN, "%s: lines of the access log %s are lost: %s (%llu so far)",
		log->worker->service->name, log->path, why, (unsigned long long)s->access_log_lost);
}

static void lose(struct crew__access_log *log, uint64_t lines, const char *why)
{
	if (lines == 0)
		return;
	log->worker->net.stats.slab->access_log_lost += lines;
	tell_loss(log, why);
}

static uint64_t count_lines(const char *text, size_t len)
{
	uint64_t lines = 0;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	return lines;
}

/* How much may go at once: whole lines. */
static size_t share(const struct crew__access_log *log, size_t at)
{
	size_t left = log->len - at;
	if (!log->pipe || left <= PIPE_BUF)
		return left;
	const char *end = memrchr(log->buffer + at, '\n', PIPE_BUF);
	return (size_t)(end + 1 - (log->buffer + at));
}

/* All that is taken at present. What is refused for good is lost. */
static void flush(struct crew__access_log *log)
{
	size_t at = 0;
	while (at < log->len) {
		ssize_t n = write(log->fd, log->buffer + at, share(log, at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			lose(log, count_lines(log->buffer + at, log->len - at), strerror(errno));
			log->torn = at > 0 && log->buffer[at - 1] != '\n';
			at = log->len;
			break;
		}
		at += (size_t)n;
	}
	log->len -= at;
	memmove(log->buffer, log->buffer + at, log->len);
}

static void write_later(struct crew__access_log *log)
{
	struct crew__loop *loop = log->worker->plan.loop;
	if (log->len > 0 && log->timer.place == 0)
		crew__timer_start(loop, &log->timer, crew__loop_ns(loop) + CREW__NS_PER_S);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__access_log *log = crew__container_of(timer, struct crew__access_log, timer);
	flush(log);
	write_later(log);
}

static void add_line(struct crew__access_log *log, const char *line, size_t len)
{
	if (log->len + 1 + len > BUFFER_SIZE)
		flush(log);
	if (log->len + 1 + len > BUFFER_SIZE) {
		lose(log, 1, "who reads it is too slow");
		return;
	}
	if (log->torn && log->len == 0)
		log->buffer[log->len++] = '\n';
	log->torn = false;
	memcpy(log->buffer + log->len, line, len);
	log->len += len;
	if (log->len >= BUFFER_SIZE / 2)
		flush(log);
	write_later(log);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* A pipe that nobody reads yet is opened for both directions: it keeps what fits into it. */
static int open_log(const char *path, bool *ret_pipe)
{
	const int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat found;
	int fd = open(path, O_WRONLY | flags, 0640);
	if (fd < 0 && errno == ENXIO)
		fd = open(path, O_RDWR | flags, 0640);
	if (fd < 0)
		return -errno;
	*ret_pipe = fstat(fd, &found) < 0 || !S_ISREG(found.st_mode);
	return fd;
}

int crew__access_start(crew_worker *w)
{
	const char *path = w->settings->access_log;
	if (!path)
		return 0;
	struct crew__access_log *log = malloc(sizeof(*log));
	if (!log)
		return -ENOMEM;
	*log = (struct crew__access_log){ .worker = w, .path = path, .timer.fn = on_timer };
	log->fd = open_log(path, &log->pipe);
	if (log->fd < 0) {
		int error = log->fd;
		crew__log(CREW_ERROR,
			"%s.access_log = %s: cannot open it: %s; the user of the workers must be "
			"allowed to write there",
			w->service->name, path, strerror(-error));
		free(log);
		return error;
	}
	w->http->log = log;
	return 0;
}

void crew__access_stop(crew_worker *w)
{
	struct crew__access_log *log = w->http->log;
	if (!log)
		return;
	flush(log);
	lose(log, count_lines(log->buffer, log->len), "who reads it is too slow");
	crew__timer_stop(w->plan.loop, &log->timer);
	close(log->fd);
	free(log);
	w->http->log = NULL;
}

void crew__access_reopen(crew_worker *w)
{
	struct crew__access_log *log = w->http->log;
	bool pipe = false;
	if (!log)
		return;
	int fd = open_log(log->path, &pipe);
	if (fd < 0) {
		crew__log(CREW_ERROR,
			"%s: cannot reopen the access log %s: %s; it stays where it was",
			w->service->name, log->path, strerror(-fd));
		return;
	}
	flush(log);
	close(log->fd);
	log->fd = fd;
	log->pipe = pipe;
	log->torn = false;
}

/* ---- one exchange -------------------------------------------------------------------------- */

static crew_bytes cut(crew_bytes bytes, size_t most)
{
	return (crew_bytes){ bytes.data, crew__min(bytes.len, most) };
}

/* A part of the request into the text; what it has not stays without data. */
static crew_bytes keep(char **at, crew_bytes part)
{
	if (!part.data)
		return part;
	crew_bytes copy = { *at, part.len };
	memcpy(*at, part.data, part.len);
	*at += part.len;
	return copy;
}

static int64_t unix_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* How long the head took; one that came in one piece took no time that could be known. Others are
 * timed as deadlines are, in hundredths. */
static uint64_t head_time(crew_conn *c)
{
	uint32_t began = crew__side(c)->http.began;
	return began ? (uint64_t)(crew__net_now(c->net) - began) * 10000 : 0;
}

void crew__access_begin(struct crew__exchange *e, const crew_request *request)
{
	crew_worker *w = crew__worker_of(e->conn);
	if (!w->http->log)
		return;
	crew_bytes method = cut(request->method, CREW__ACCESS_METHOD_MAX);
	crew_bytes target = cut(request->target, CREW__ACCESS_TARGET_MAX);
	crew_bytes agent = cut(crew_request_header(request, "User-Agent"), CREW__ACCESS_AGENT_MAX);
	crew_bytes referer = cut(crew_request_header(request, "Referer"), CREW__ACCESS_REFERER_MAX);
	struct crew__access *a = malloc(
		sizeof(*a) + method.len + target.len + agent.len + referer.len);
	e->access = a;
	if (!a) {
		lose(w->http->log, 1, strerror(ENOMEM));
		return;
	}
	*a = (struct crew__access){
		.unix_us = unix_us(),
		.head_us = head_time(e->conn),
		.began_ns = crew__clock_ns(),
		.version = request->version,
	};
	memcpy(a->id, crew_request_id(request), sizeof(a->id));
	crew__client_text(request, false, a->client, sizeof(a->client));
	char *at = a->text;
	a->method = keep(&at, method);
	a->target = keep(&at, target);
	a->agent = keep(&at, agent);
	a->referer = keep(&at, referer);
}

void crew__access_note(struct crew__exchange *e, enum crew__access_phase phase)
{
	struct crew__access *a = e->access;
	uint64_t *const times[] = { [CREW__ACCESS_BODY] = &a->body_ns,
		[CREW__ACCESS_ANSWER] = &a->answer_ns,
		[CREW__ACCESS_DONE] = &a->done_ns };
	if (*times[phase] == 0)
		*times[phase] = crew__clock_ns();
}

static uint64_t microseconds(uint64_t from, uint64_t to)
{
	return to > from ? (to - from) / 1000 : 0;
}

static void write_entry(crew_worker *w, const struct crew__access_entry *entry)
{
	char line[CREW__ACCESS_LINE_MAX];
	size_t len = w->settings->access_log_json ? crew__access_json(entry, line)
						  : crew__access_combined(entry, line);
	add_line(w->http->log, line, len);
}

static const char *ending(crew_end_reason reason)
{
	return reason == CREW_END_REASONS ? "ok" : crew_end_name(reason);
}

/* The phases follow each other: a body that is still coming when the answer begins is part of what
 * the answer takes. */
void crew__access_end(struct crew__exchange *e, crew_end_reason reason)
{
	struct crew__access *a = e->access;
	crew_worker *w = crew__worker_of(e->conn);
	if (!a)
		return;
	uint64_t done = a->done_ns ? a->done_ns : crew__clock_ns();
	uint64_t answer = a->answer_ns ? a->answer_ns : done;
	uint64_t body = a->body_ns && a->body_ns <= answer ? a->body_ns : a->began_ns;
	const struct crew__access_entry entry = {
		.unix_us = a->unix_us,
		.client = a->client,
		.id = a->id,
		.method = a->method,
		.target = a->target,
		.agent = a->agent,
		.referer = a->referer,
		.version = a->version,
		.status = e->status,
		.bytes_in = e->body_seen,
		.bytes_out = e->body_out,
		.head_us = a->head_us,
		.body_us = microseconds(a->began_ns, body),
		.handler_us = microseconds(body, answer),
		.answer_us = microseconds(answer, done),
		.ended = ending(reason),
	};
	write_entry(w, &entry);
	free(a);
	e->access = NULL;
}

void crew__access_refused(crew_conn *c, int status, size_t body, crew_end_reason reason)
{
	crew_worker *w = crew__worker_of(c);
	char client[128], id[17];
	crew__address_bare(&w->net.stats.cold[c->slot].remote, client, sizeof(client));
	crew__next_id(w, id);
	const struct crew__access_entry entry = {
		.unix_us = unix_us(),
		.client = client,
		.id = id,
		.status = (unsigned)status,
		.bytes_out = body,
		.head_us = head_time(c),
		.ended = ending(reason),
	};
	write_entry(w, &entry);
}
