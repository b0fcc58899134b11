/* lend.c - with reuse_port: who accepts from the sockets of a worker that does not.
 *
 * The kernel spreads new connections over all sockets of a port, read or not, and closing one
 * resets those that wait in it. So a socket stays open as long as its service, and whenever its own
 * worker does not accept (it has died, is being started, is about to leave, or a reload has brought
 * fewer workers) a sibling accepts from it as well. */
#include "proc/master.h"

#include <string.h>

/* The workers of a service that accept, by id; of two generations the newer one. */
struct readers {
	unsigned count;
	struct crew__child *by_id[CREW__LIVES_MAX];
	struct crew__child *any[CREW__LIVES_MAX]; /* `count` of them */
};

static bool accepts(const struct crew__child *child, unsigned service)
{
	return child->service == service && child->state == CREW__CHILD_READY && !child->dead &&
	       child->id < CREW__LIVES_MAX;
}

static void find_readers(
	const struct crew__master *master, unsigned service, struct readers *readers)
{
	const struct crew__node *head = &master->family.children;
	memset(readers, 0, sizeof(*readers));
	for (const struct crew__node *n = head->next; n != head; n = n->next) {
		struct crew__child *child = crew__container_of(n, struct crew__child, node);
		if (!accepts(child, service))
			continue;
		struct crew__child **place = &readers->by_id[child->id];
		if (!*place || (*place)->generation->number < child->generation->number)
			*place = child;
		if (readers->count < CREW__LIVES_MAX)
			readers->any[readers->count++] = child;
	}
}

static struct crew__child *find_keeper(const struct readers *readers, pid_t keeper)
{
	for (unsigned i = 0; keeper != 0 && i < readers->count; i++)
		if (readers->any[i]->pid == keeper)
			return readers->any[i];
	return NULL;
}

/* Those of several ids go to several siblings; one that cannot be told now is passed over. */
static pid_t lend(const struct crew__listeners *listeners, unsigned service, unsigned id,
	const struct readers *readers)
{
	int fds[CREW__ADDRESSES_MAX];
	unsigned own = crew__listeners_fds(listeners, service, id, true, fds);
	for (unsigned i = 0; i < readers->count; i++) {
		struct crew__child *sibling = readers->any[(id + i) % readers->count];
		if (crew__child_adopt(sibling, id, fds, own) == 0)
			return sibling->pid;
	}
	return 0;
}

static void settle(struct crew__master *master, unsigned service, struct readers *readers)
{
	struct crew__listeners *listeners = &master->generation->listeners;
	struct crew__listener *listener = &listeners->service[service];
	find_readers(master, service, readers);
	for (unsigned id = 0; id < listener->each; id++) {
		struct crew__child *keeper = find_keeper(readers, listener->keepers[id]);
		bool is_read = id < CREW__LIVES_MAX && readers->by_id[id];
		if (!is_read && !keeper)
			listener->keepers[id] = lend(listeners, service, id, readers);
		/* A keeper that cannot be told now is told at the next occasion. */
		else if (is_read && (!keeper || crew__child_disown(keeper, id) == 0))
			listener->keepers[id] = 0;
	}
}

void crew__sockets_lend(struct crew__master *master)
{
	static struct readers readers; /* large; one loop, one thread */
	if (master->state == CREW__MASTER_STARTING || master->state == CREW__MASTER_STOPPING)
		return;
	for (unsigned service = 0; service < CREW_MAX_SERVICES; service++)
		if (master->generation->listeners.service[service].each > 0)
			settle(master, service, &readers);
}
