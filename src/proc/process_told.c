/* process_told.c - what a worker process is told by its master, and the handing over of its
 * connections, which comes before it leaves. */
#include "proc/process_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include "service/live.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MESSAGES_PER_TURN = 64
};

/* ---- what the master says ------------------------------------------------------------------ */

static void take_log(struct crew__process *process, int fd)
{
	crew__worker_reopen_logs(process->worker);
	if (fd < 0)
		return;
	crew__log_file_follow(process->greeting.log_fd, fd);
	crew__log_switch(fd);
	close(process->greeting.log_fd);
	process->greeting.log_fd = fd;
}

/* ---- handing connections over: what can move goes before the rest is told to leave ---- */

static bool hands_over(const struct crew__process *process)
{
	return process->giving && !crew__giving_is_over(process->giving);
}

static void follow(
	struct crew__process *process, const struct crew__stop_order *order, uint64_t window_ms)
{
	crew__process_leave(process, order->graceful != 0, window_ms, order->close_code);
}

static void on_given(void *arg)
{
	struct crew__process *process = arg;
	const struct crew__stop_order order = process->stop;
	uint64_t passed_ms = (crew__clock_ns() - process->stop_ns) / CREW__NS_PER_MS;
	if (process->stop_ns == 0)
		return; /* the order is still to come */
	follow(process, &order, order.window_ms - crew__min(order.window_ms, passed_ms));
}

static void give(struct crew__process *process, int take_fd)
{
	if (take_fd < 0)
		return;
	if (process->giving || process->leaving) {
		close(take_fd);
		return;
	}
	int status = crew__giving_new(
		process->loop, process->worker, take_fd, on_given, process, &process->giving);
	if (status < 0)
		crew__log(CREW_WARN, "connections are not handed over: %s", strerror(-status));
}

static void take(struct crew__process *process, int take_fd)
{
	if (take_fd < 0)
		return;
	int status = crew__takings_add(&process->takings, take_fd);
	if (status < 0)
		crew__log(CREW_WARN, "no connections are taken over: %s", strerror(-status));
}

/* The first order waits until the connections have gone, for half of its window at most; any other
 * is to be followed at once. */
static void take_stop(struct crew__process *process, const struct crew__message *message)
{
	struct crew__stop_order order;
	if (message->length != sizeof(order))
		return;
	memcpy(&order, message->payload, sizeof(order));
	if (hands_over(process) && process->stop_ns == 0) {
		process->stop = order;
		process->stop_ns = crew__clock_ns();
		crew__worker_stop_accepting(process->worker);
		crew__giving_until(process->giving,
			process->stop_ns + order.window_ms * (CREW__NS_PER_MS / 2));
		return;
	}
	follow(process, &order, order.window_ms);
}

static void take_life(struct crew__process *process, struct crew__message *message)
{
	struct crew__life_note note;
	if (message->length != sizeof(note))
		return;
	memcpy(&note, message->payload, sizeof(note));
	if (message->type == CREW__MSG_LIFE_GONE) {
		crew__census_clear(process->census, note.index);
		return;
	}
	int fd = crew__message_take_fd(message, 0);
	int status = fd < 0 ? -EPROTO
			    : crew__census_set(process->census, note.index, note.life, fd);
	if (status < 0)
		crew__log(CREW_WARN,
			"another worker's numbers cannot be read: %s; totals lack them",
			strerror(-status));
}

static void disown(struct crew__process *process, uint32_t id)
{
	size_t left = 0;
	for (size_t i = 0; i < process->adopted_count; i++) {
		struct crew__adopted adopted = process->adopted[i];
		if (adopted.id == id)
			crew__worker_disown(process->worker, adopted.fd);
		else
			process->adopted[left++] = adopted;
	}
	process->adopted_count = left;
}

static int adopt(struct crew__process *process, uint32_t id, int take_fd)
{
	size_t size = (process->adopted_count + 1) * sizeof(struct crew__adopted);
	struct crew__adopted *adopted = realloc(process->adopted, size);
	if (!adopted) {
		close(take_fd);
		return -ENOMEM;
	}
	process->adopted = adopted;
	int status = crew__worker_adopt(process->worker, take_fd);
	if (status == 0)
		adopted[process->adopted_count++] = (struct crew__adopted){ id, take_fd };
	return status;
}

static void take_absence(struct crew__process *process, struct crew__message *message)
{
	struct crew__absence absence;
	if (message->length != sizeof(absence))
		return;
	memcpy(&absence, message->payload, sizeof(absence));
	if (message->type == CREW__MSG_DISOWN) {
		disown(process, absence.id);
		return;
	}
	disown(process, absence.id);
	int status = message->fd_count > 0 ? 0 : -EPROTO;
	for (unsigned i = 0; i < message->fd_count; i++) {
		int error = adopt(process, absence.id, crew__message_take_fd(message, i));
		status = error ? error : status;
	}
	if (status < 0)
		crew__log(CREW_WARN, "cannot accept for #%u, which is away: %s", absence.id,
			strerror(-status));
}

static void take_kick(struct crew__process *process, const struct crew__message *message)
{
	static struct crew__kick_order order; /* large; one loop, one thread */
	const size_t head = offsetof(struct crew__kick_order, ids);
	if (message->length < head || message->length > sizeof(order))
		return;
	memcpy(&order, message->payload, message->length);
	if (order.count <= CREW__KICK_MOST &&
		message->length == head + order.count * sizeof(order.ids[0]))
		crew__worker_kick(process->worker, order.ids, order.count, order.by);
}

/* What the worker had already, from the settings it began with, is no change. */
static void take_setting(struct crew__process *process, const struct crew__message *message)
{
	struct crew__settings *settings = process->greeting.settings;
	struct crew__settings_change change;
	char error[1536];
	if (crew__settings_set_live(settings, message->payload, &change, error, sizeof(error)) <
		0) {
		crew__log(CREW_WARN, "a setting that the master sent is left out: %s", error);
		return;
	}
	if (change.before == change.now)
		return;
	crew__log_set_level(settings->log_level);
	crew__worker_set(process->worker, settings, &change);
}

static void take_tls(struct crew__process *process, struct crew__message *message)
{
	struct crew__tls_order order;
	char error[1024];
	int fd = crew__message_take_fd(message, 0);
	if (message->length == sizeof(order) && fd >= 0) {
		memcpy(&order, message->payload, sizeof(order));
		struct crew__tls_done done = { .serial = order.serial };
		done.status = crew__worker_take_tls(
			process->worker, fd, &order.secret, order.tell != 0, error, sizeof(error));
		/* Another worker has found them sound: this is about this one, so it tells. */
		if (done.status < 0 && !order.tell)
			crew__log(CREW_ERROR, "the new certificates are not taken: %s", error);
		explicit_bzero(&order, sizeof(order));
		if (process->wire.fd >= 0)
			crew__wire_send(
				process->wire.fd, CREW__MSG_TLS_DONE, &done, sizeof(done), NULL, 0);
	}
	explicit_bzero(message->payload, message->length);
	if (fd >= 0)
		close(fd);
}

static void take_message(struct crew__process *process, struct crew__message *message)
{
	switch (message->type) {
	case CREW__MSG_STOP:
		take_stop(process, message);
		break;
	case CREW__MSG_RELOADING:
		crew__worker_reloading(process->worker);
		break;
	case CREW__MSG_RECYCLING:
		crew__worker_recycled(process->worker);
		break;
	case CREW__MSG_REOPEN_LOG:
		take_log(process, crew__message_take_fd(message, 0));
		break;
	case CREW__MSG_ADOPT:
	case CREW__MSG_DISOWN:
		take_absence(process, message);
		break;
	case CREW__MSG_KICK_THESE:
		take_kick(process, message);
		break;
	case CREW__MSG_SETTING:
		take_setting(process, message);
		break;
	case CREW__MSG_TLS:
		take_tls(process, message);
		break;
	case CREW__MSG_GIVE:
		give(process, crew__message_take_fd(message, 0));
		break;
	case CREW__MSG_TAKE:
		take(process, crew__message_take_fd(message, 0));
		break;
	case CREW__MSG_LIFE:
	case CREW__MSG_LIFE_GONE:
		take_life(process, message);
		break;
	default:
		crew__log(CREW_WARN, "the master sent a message of type %u, which is unknown here",
			message->type);
	}
	crew__message_release(message);
}

void crew__process_on_wire(struct crew__source *source, unsigned events)
{
	static struct crew__message message; /* large; one loop, one thread */
	struct crew__process *process = crew__container_of(source, struct crew__process, wire);
	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN && source->fd >= 0; i++) {
		int got = crew__wire_receive(source->fd, &message);
		if (got == -EAGAIN)
			return;
		if (got <= 0)
			crew__process_master_is_gone(process);
		else
			take_message(process, &message);
	}
}
