#include "proc/order.h"

#include "base/clock.h"
#include "proc/endpoint.h"
#include "proc/inside.h"
#include "proc/wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void explain(int status, const char *run_dir, const char *name, char *text, size_t size)
{
	if (status == -ESRCH)
		snprintf(text, size, "not running (run directory %s); start it with `start`",
			run_dir);
	else if (status == -EACCES || status == -EPERM)
		snprintf(text, size,
			"its control socket is closed to this user; be root or the user it runs as");
	else if (status == -EPROTO)
		snprintf(text, size,
			"the master's answer makes no sense; is it of another version?");
	else
		snprintf(text, size,
			"the master of %s in %s does not answer (%s), and will not do it later; see `status`",
			name, run_dir, strerror(-status));
}

/* One packet and its answer. A refusal is in `ret_error`. */
static int ask(int fd, unsigned type, const void *payload, size_t length,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	static struct crew__message message; /* large; one at a time */
	uint64_t deadline = crew__clock_ns() + CREW__ORDER_MS * CREW__NS_PER_MS;
	int got = crew__wire_send(fd, type, payload, length, NULL, 0);
	if (got == 0)
		got = crew__wire_await(fd, &message, deadline);
	if (got != 1)
		return got == 0 ? -ECONNRESET : got;
	crew__message_release(&message);
	if (message.type == CREW__MSG_REFUSED) {
		snprintf(ret_error, error_size, "%s", message.payload);
		return -EACCES;
	}
	if (message.type != CREW__MSG_HANDED_ON || message.length != sizeof(*ret_handed_on))
		return -EPROTO;
	memcpy(ret_handed_on, message.payload, sizeof(*ret_handed_on));
	return 0;
}

static int enter(const char *run_dir, const char *name)
{
	int fd = crew__endpoint_connect(run_dir, name);
	return fd == -ENOENT || fd == -ECONNREFUSED ? -ESRCH : fd;
}

static int finish(
	int status, const char *run_dir, const char *name, char *ret_error, size_t error_size)
{
	if (status < 0 && ret_error[0] == '\0')
		explain(status, run_dir, name, ret_error, error_size);
	return status;
}

int crew__order_kick(const char *run_dir, const char *name, const uint64_t *ids, size_t count,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	const struct crew__control_plan *inside = crew__inside();
	struct crew__handed_on sum = { 0 }, part = { 0 };
	ret_error[0] = '\0';
	int fd = inside ? -1 : enter(run_dir, name);
	int status = inside || fd >= 0 ? 0 : fd;
	for (size_t done = 0; status == 0 && done < count;) {
		size_t more = crew__min(count - done, CREW__KICK_MOST);
		if (inside)
			inside->kick(inside->arg, ids + done, more, geteuid(), &part);
		else
			status = ask(fd, CREW__MSG_KICK, ids + done, more * sizeof(ids[0]), &part,
				ret_error, error_size);
		sum.told += part.told;
		sum.late += part.late;
		done += more;
	}
	if (fd >= 0)
		close(fd);
	*ret_handed_on = sum;
	return finish(status, run_dir, name, ret_error, error_size);
}

int crew__order_set(const char *run_dir, const char *name, const char *text,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	const struct crew__control_plan *inside = crew__inside();
	ret_error[0] = '\0';
	if (strlen(text) > CREW__WIRE_MAX) {
		snprintf(ret_error, error_size, "%.64s... is too long for a setting", text);
		return -EINVAL;
	}
	if (inside)
		return inside->set(
			inside->arg, text, geteuid(), ret_handed_on, ret_error, error_size);
	int fd = enter(run_dir, name);
	int status = fd < 0 ? fd
			    : ask(fd, CREW__MSG_SET, text, strlen(text), ret_handed_on, ret_error,
				      error_size);
	if (fd >= 0)
		close(fd);
	return finish(status, run_dir, name, ret_error, error_size);
}
