/* dial.c - the order of things, time, and how a dial ends.
 *
 * Not here: attempts (dial_race.c), the talk with a proxy (dial_proxy.c). */
#include "net/dial.h"

#include "net/dial_parts.h"
#include "net/resolver_parts.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the end ------------------------------------------------------------------------------- */

static void bury(struct crew__grave *grave)
{
	struct crew__dial *dial = crew__container_of(grave, struct crew__dial, grave);
	crew__dial_proxy_free(dial->proxy);
	free(dial->host);
	free(dial->unix_path);
	free(dial);
}

/* Nothing moves any more; its memory stays until the turn's end. */
static void end(struct crew__dial *dial)
{
	crew__must(dial->state != CREW__DIAL_OVER);
	dial->state = CREW__DIAL_OVER;
	if (dial->lookup)
		crew__lookup_stop(dial->lookup);
	dial->lookup = NULL;
	crew__timer_stop(dial->loop, &dial->total);
	crew__timer_stop(dial->loop, &dial->step);
	crew__race_stop(dial);
	if (dial->proxy && dial->proxy->source.fd >= 0) {
		int fd = dial->proxy->source.fd;
		crew__loop_remove(dial->loop, &dial->proxy->source);
		close(fd);
	}
	crew__resolver_bury(dial->resolver, &dial->grave);
}

void crew__dial_finish(struct crew__dial *dial, int fd, const char *why, crew_bytes rest)
{
	end(dial);
	dial->done(fd, why, rest, dial->arg);
}

void crew__dial_stop(struct crew__dial *dial)
{
	end(dial);
}

void crew__dial_connected(struct crew__dial *dial, int take_fd)
{
	crew__race_stop(dial);
	if (dial->lookup)
		crew__lookup_stop(dial->lookup);
	dial->lookup = NULL;
	crew__timer_stop(dial->loop, &dial->step);
	if (dial->proxy)
		crew__dial_proxy_talk(dial, take_fd);
	else
		crew__dial_finish(dial, take_fd, NULL, (crew_bytes){ NULL, 0 });
}

static void fail_no_memory(struct crew__dial *dial)
{
	crew__dial_finish(dial, -ENOMEM, "out of memory", (crew_bytes){ NULL, 0 });
}

bool crew__dial_after(struct crew__dial *dial, uint64_t ms)
{
	uint64_t due_ns = crew__loop_ns(dial->loop) + ms * CREW__NS_PER_MS;
	if (crew__timer_start(dial->loop, &dial->step, due_ns) == 0)
		return true;
	fail_no_memory(dial);
	return false;
}

/* ---- steps --------------------------------------------------------------------------------- */

static void on_resolved(const struct crew__resolved *resolved, bool whole, void *arg)
{
	struct crew__dial *dial = arg;
	char why[CREW__DIAL_WHY_MAX];
	if (whole)
		dial->lookup = NULL;
	crew__race_add(dial, resolved);
	if (whole && dial->count == 0) {
		crew__dial_say_unresolved(dial, resolved->why, why);
		crew__dial_finish(dial, resolved->error, why, (crew_bytes){ NULL, 0 });
		return;
	}
	bool only_ipv4 = !whole && dial->count > 0 &&
			 dial->candidates[0].address.any.sa_family == AF_INET;
	if (dial->state == CREW__DIAL_RESOLVING && only_ipv4) {
		crew__dial_after(dial, CREW__RESOLUTION_MS);
	} else if (!crew__race_runs(dial)) {
		crew__race_next(dial);
	} else if (!dial->step.place && crew__race_has_next(dial)) {
		crew__dial_after(dial, CREW__DIAL_DELAY_MS);
	}
}

static void begin(struct crew__dial *dial)
{
	const char *host = dial->proxy ? dial->proxy->host : dial->host;
	uint16_t port = dial->proxy ? dial->proxy->port : dial->port;
	dial->state = CREW__DIAL_RESOLVING;
	dial->lookup = crew__resolve(dial->resolver, host, port, on_resolved, dial);
	if (!dial->lookup)
		fail_no_memory(dial);
}

static void on_step(struct crew__timer *timer)
{
	struct crew__dial *dial = crew__container_of(timer, struct crew__dial, step);
	if (dial->unix_path)
		crew__race_unix(dial);
	else if (dial->state == CREW__DIAL_BEGINS)
		begin(dial);
	else
		crew__race_next(dial);
}

static void on_total(struct crew__timer *timer)
{
	struct crew__dial *dial = crew__container_of(timer, struct crew__dial, total);
	char why[CREW__DIAL_WHY_MAX];
	crew__dial_say_late(dial, why);
	crew__dial_finish(dial, -ETIMEDOUT, why, (crew_bytes){ NULL, 0 });
}

/* ---- the beginning ------------------------------------------------------------------------- */

static int refuse(char *ret_error, size_t error_size, const char *what)
{
	snprintf(ret_error, error_size, "%s", what);
	return -EINVAL;
}

static int check(const struct crew__dial_plan *plan, char *ret_error, size_t error_size)
{
	if ((plan->host == NULL) == (plan->unix_path == NULL))
		return refuse(ret_error, error_size, "either a host or a Unix socket is needed");
	if (plan->type != SOCK_STREAM && plan->type != SOCK_DGRAM)
		return refuse(ret_error, error_size, "only streams and datagrams can be dialled");
	if (plan->proxy && (plan->unix_path || plan->type != SOCK_STREAM))
		return refuse(ret_error, error_size, "a proxy is only for streams to a host");
	if (plan->local && plan->unix_path)
		return refuse(ret_error, error_size, "a Unix socket has no local address");
	if (plan->host && plan->port == 0)
		return refuse(ret_error, error_size, "the port is missing: 1 to 65535");
	if (plan->unix_path && (plan->unix_path[0] == '\0' || strcmp(plan->unix_path, "@") == 0))
		return refuse(ret_error, error_size, "the path of the Unix socket is missing");
	if (plan->unix_path &&
		strlen(plan->unix_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return refuse(ret_error, error_size,
			"the path of the Unix socket is too long: it may have 107 bytes");
	return 0;
}

static int take_local(struct crew__dial *dial, const struct crew__dial_plan *plan, char *ret_error,
	size_t error_size)
{
	struct sockaddr_storage address;
	if (!plan->local)
		return 0;
	if (!crew__host_is_numeric(plan->local, &address)) {
		snprintf(ret_error, error_size,
			"\"%.64s\" is no numeric address to connect from; one looks like 192.0.2.1 "
			"or 2001:db8::1",
			plan->local);
		return -EINVAL;
	}
	memcpy(&dial->local, &address,
		address.ss_family == AF_INET6 ? sizeof(dial->local.ipv6)
					      : sizeof(dial->local.ipv4));
	return 0;
}

static int take_proxy(struct crew__dial *dial, const struct crew__dial_plan *plan, char *ret_error,
	size_t error_size)
{
	if (!plan->proxy)
		return 0;
	int error = crew__dial_proxy_new(
		plan->proxy, plan->preambles, &dial->proxy, ret_error, error_size);
	return error ? error : crew__dial_proxy_prepare(dial, ret_error, error_size);
}

static void fill(struct crew__dial *dial, const struct crew__dial_plan *plan)
{
	dial->grave.bury = bury;
	dial->loop = plan->loop;
	dial->resolver = plan->resolver;
	dial->port = plan->port;
	dial->type = plan->type;
	dial->timeout_ms = plan->timeout_ms;
	dial->done = plan->done;
	dial->arg = plan->arg;
	dial->total.fn = on_total;
	dial->step.fn = on_step;
	for (size_t i = 0; i < CREW__DIAL_AT_ONCE; i++) {
		dial->attempts[i].source.fd = -1;
		dial->attempts[i].dial = dial;
	}
}

static int copy(const char *text, char **ret_copy)
{
	*ret_copy = text ? strdup(text) : NULL;
	return text && !*ret_copy ? -ENOMEM : 0;
}

static int start_timers(struct crew__dial *dial)
{
	uint64_t now_ns = crew__loop_ns(dial->loop), timeout_ns;
	if (__builtin_mul_overflow(dial->timeout_ms, CREW__NS_PER_MS, &timeout_ns) ||
		__builtin_add_overflow(timeout_ns, now_ns, &timeout_ns))
		timeout_ns = UINT64_MAX;
	int error = crew__timer_start(dial->loop, &dial->total, timeout_ns);
	if (error)
		return error;
	error = crew__timer_start(dial->loop, &dial->step, now_ns);
	if (error)
		crew__timer_stop(dial->loop, &dial->total);
	return error;
}

struct crew__dial *crew__dial_start(
	const struct crew__dial_plan *plan, char *ret_error, size_t error_size)
{
	struct crew__dial *dial;
	if (check(plan, ret_error, error_size))
		return NULL;
	snprintf(ret_error, error_size, "out of memory");
	dial = calloc(1, sizeof(*dial));
	if (!dial)
		return NULL;
	fill(dial, plan);
	int error = copy(plan->host, &dial->host);
	if (!error)
		error = copy(plan->unix_path, &dial->unix_path);
	if (!error)
		error = take_local(dial, plan, ret_error, error_size);
	if (!error)
		error = take_proxy(dial, plan, ret_error, error_size);
	if (!error)
		error = start_timers(dial);
	if (!error)
		return dial;
	bury(&dial->grave);
	return NULL;
}
