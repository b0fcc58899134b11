/* child_tell.c - what a worker process is told by its master.
 *
 * What does not fit into its socket now is owed, as a bit or a number, and sent when there is room;
 * so a worker that does not read costs no memory. */
#include "proc/child_parts.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int send_next_life(struct crew__child *child)
{
	const struct crew__registry *registry = child->family->registry;
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++) {
		const struct crew__entry *entry = &registry->entries[i];
		if (child->told[i] == entry->serial)
			continue;
		struct crew__life_note note = { .index = i, .life = entry->life.life };
		int status;
		if (entry->serial == 0) {
			status = crew__wire_send(
				child->wire.fd, CREW__MSG_LIFE_GONE, &note, sizeof(note), NULL, 0);
		} else {
			int fd = crew__segment_readonly_fd(&entry->segment);
			if (fd < 0)
				return fd;
			status = crew__wire_send(
				child->wire.fd, CREW__MSG_LIFE, &note, sizeof(note), &fd, 1);
			close(fd);
		}
		if (status < 0)
			return status;
		child->told[i] = entry->serial;
	}
	return 0;
}

/* One setting of those that `*owed` has bits for; the values are those in force now. */
static int send_setting(struct crew__child *child, int service, uint64_t *owed)
{
	char text[256];
	unsigned key = (unsigned)__builtin_ctzll(*owed);
	int status = 0;
	if (crew__settings_show_live(child->generation->settings, service, key, text, sizeof(text)))
		status = crew__wire_send_text(child->wire.fd, CREW__MSG_SETTING, text);
	if (status == 0)
		*owed &= *owed - 1;
	return status;
}

static int send_settings(struct crew__child *child)
{
	int status = 0;
	while (status == 0 && child->owes_service)
		status = send_setting(child,
			crew__generation_index(child->generation, child->service),
			&child->owes_service);
	while (status == 0 && child->owes_crew)
		status = send_setting(child, -1, &child->owes_crew);
	return status;
}

struct crew__tls_secret crew__family_secret(struct crew__family *family, unsigned service)
{
	crew__tls_secret_advance(&family->secrets[service]);
	return family->secrets[service];
}

void crew__child_drop_tls(struct crew__child *child)
{
	if (child->tls_fd >= 0)
		close(child->tls_fd);
	child->tls_fd = -1;
}

static int send_tls(struct crew__child *child)
{
	struct crew__tls_order order;
	memset(&order, 0, sizeof(order));
	order.secret = crew__family_secret(child->family, child->service);
	order.serial = child->tls_serial;
	order.tell = child->tls_tell;
	int status = crew__wire_send(
		child->wire.fd, CREW__MSG_TLS, &order, sizeof(order), &child->tls_fd, 1);
	explicit_bzero(&order, sizeof(order));
	if (status == 0)
		crew__child_drop_tls(child);
	return status;
}

/* Send all that is owed, until the socket is full. Orders go before lives. */
static int send_owed(struct crew__child *child)
{
	int fd = child->wire.fd, status = 0;
	if (child->owes_reloading) {
		status = crew__wire_send(fd, CREW__MSG_RELOADING, NULL, 0, NULL, 0);
		if (status < 0)
			return status;
		child->owes_reloading = false;
	}
	if (child->owes_recycling) {
		status = crew__wire_send(fd, CREW__MSG_RECYCLING, NULL, 0, NULL, 0);
		if (status < 0)
			return status;
		child->owes_recycling = false;
	}
	if (child->owes_stop) {
		status = crew__wire_send(
			fd, CREW__MSG_STOP, &child->stop, sizeof(child->stop), NULL, 0);
		if (status < 0)
			return status;
		child->owes_stop = false;
	}
	if (child->owes_log) {
		status = crew__wire_send(
			fd, CREW__MSG_REOPEN_LOG, NULL, 0, child->family->log_fd, 1);
		if (status < 0)
			return status;
		child->owes_log = false;
	}
	if (child->tls_fd >= 0) {
		status = send_tls(child);
		if (status < 0)
			return status;
	}
	status = send_settings(child);
	return status < 0 ? status : send_next_life(child);
}

void crew__child_settle(struct crew__child *child)
{
	if (child->wire.fd < 0 || child->dead)
		return;
	int status = send_owed(child);
	if (status == -EPIPE || status == -ECONNRESET) {
		/* One that was told to leave has left; its death is reported in a moment. */
		bool leaves = child->state == CREW__CHILD_STOPPING;
		crew__child_lose(child, leaves ? NULL : "does not listen to its master any more");
		return;
	}
	/* Anything else is a lack of room or descriptors, here or there, and passes. */
	bool wants_room = status < 0;
	if (wants_room != child->wants_room) {
		child->wants_room = wants_room;
		crew__loop_mod(child->family->loop, &child->wire,
			wants_room ? CREW__READ | CREW__WRITE : CREW__READ);
	}
}

void crew__child_reloading(struct crew__child *child)
{
	child->owes_reloading = true;
	crew__child_settle(child);
}

void crew__child_recycling(struct crew__child *child)
{
	child->owes_recycling = true;
	crew__child_settle(child);
}

void crew__child_reopen_log(struct crew__child *child)
{
	child->owes_log = true;
	crew__child_settle(child);
}

bool crew__child_set(struct crew__child *child, const struct crew__settings_change *change)
{
	uint64_t *owed = change->service < 0 ? &child->owes_crew : &child->owes_service;
	uint64_t bit = UINT64_C(1) << change->key;
	*owed |= bit;
	crew__child_settle(child);
	return !(*owed & bit);
}

int crew__child_kick(struct crew__child *child, const struct crew__kick_order *order)
{
	size_t length = offsetof(struct crew__kick_order, ids) +
			order->count * sizeof(order->ids[0]);
	if (child->wire.fd < 0 || child->dead)
		return -ENOTCONN;
	return crew__wire_send(child->wire.fd, CREW__MSG_KICK_THESE, order, length, NULL, 0);
}

void crew__child_sync(struct crew__child *child)
{
	crew__child_settle(child);
}

int crew__child_tls(struct crew__child *child, int fd, uint32_t serial, bool tell)
{
	if (child->wire.fd < 0 || child->dead)
		return -ENOTCONN;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	crew__child_drop_tls(child);
	child->tls_fd = copy;
	child->tls_serial = serial;
	child->tls_tell = tell;
	crew__child_settle(child);
	return 0;
}

int crew__child_adopt(struct crew__child *child, unsigned id, const int *listen_fds, unsigned count)
{
	const struct crew__absence absence = { .id = id };
	if (child->wire.fd < 0)
		return -ENOTCONN;
	return crew__wire_send(
		child->wire.fd, CREW__MSG_ADOPT, &absence, sizeof(absence), listen_fds, count);
}

int crew__child_disown(struct crew__child *child, unsigned id)
{
	const struct crew__absence absence = { .id = id };
	if (child->wire.fd < 0)
		return -ENOTCONN;
	return crew__wire_send(
		child->wire.fd, CREW__MSG_DISOWN, &absence, sizeof(absence), NULL, 0);
}
