#include "proc/handover.h"

#include <string.h>
#include <unistd.h>

static bool hands_over(const struct crew__child *child)
{
	return child && !child->dead && child->wire.fd >= 0 &&
	       crew__child_settings(child)->handover;
}

static int introduce(const struct crew__child *child, unsigned type, int fd)
{
	return crew__wire_send(child->wire.fd, type, NULL, 0, &fd, 1);
}

int crew__handover_pair(struct crew__child *leaving, struct crew__child *successor)
{
	int pair[2];
	if (!hands_over(leaving) || !hands_over(successor))
		return -ENOTSUP;
	int status = crew__wire_pair(pair);
	if (status < 0)
		return status;
	/* Should the second not hear of it, the first finds that the pair has ended. */
	status = introduce(leaving, CREW__MSG_GIVE, pair[0]);
	if (status == 0)
		status = introduce(successor, CREW__MSG_TAKE, pair[1]);
	close(pair[0]);
	close(pair[1]);
	return status;
}

static bool same_service(const struct crew__child *a, const struct crew__child *b)
{
	return strcmp(crew__child_settings(a)->service->name,
		       crew__child_settings(b)->service->name) == 0;
}

static bool can_follow(const struct crew__child *leaving, const struct crew__child *successor)
{
	return hands_over(successor) && successor->state == CREW__CHILD_READY &&
	       same_service(leaving, successor);
}

/* Its own successor; where the service has fewer workers now, one of those, each in its turn. */
static struct crew__child *successor_of(
	const struct crew__master *master, const struct crew__slot *slot)
{
	struct crew__child *others[CREW__LIVES_MAX / 2];
	unsigned count = 0;
	if (slot->next && can_follow(slot->child, slot->next))
		return slot->next;
	for (unsigned i = 0; i < master->slot_count && count < crew__lengthof(others); i++)
		if (master->slots[i]->next && can_follow(slot->child, master->slots[i]->next))
			others[count++] = master->slots[i]->next;
	return count > 0 ? others[slot->id % count] : NULL;
}

void crew__handover_pair_slots(struct crew__master *master)
{
	for (unsigned i = 0; i < master->slot_count; i++) {
		const struct crew__slot *slot = master->slots[i];
		if (!hands_over(slot->child))
			continue;
		struct crew__child *successor = successor_of(master, slot);
		int status = successor ? crew__handover_pair(slot->child, successor) : -ENOENT;
		if (status < 0)
			crew__log(CREW_WARN, "%s#%u does not hand its connections over: %s",
				crew__child_settings(slot->child)->service->name, slot->id,
				successor ? strerror(-status)
					  : "no new worker of its service does");
	}
}
