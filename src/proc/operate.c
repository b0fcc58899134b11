/* operate.c - what operators do to workers that run, as their master hands it on: kick and set.
 *
 * Ids of connections are believed to be numbers, nothing more: the upper part names a life, and the
 * worker of that life knows whether it has such a connection. */
#include "proc/master.h"

#include "base/check.h"
#include "proc/change.h"

#include <stdio.h>
#include <string.h>

enum {
	LIFE_SHIFT = 52 /* of a connection's id */
};

/* ---- kick ---------------------------------------------------------------------------------- */

/* Those of `ids` that are connections of that life. */
static void pick(uint32_t life, const uint64_t *ids, size_t count, struct crew__kick_order *order)
{
	order->count = 0;
	for (size_t i = 0; i < count; i++)
		if (ids[i] >> LIFE_SHIFT == life)
			order->ids[order->count++] = ids[i];
}

void crew__master_kick(struct crew__master *master, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on)
{
	static struct crew__kick_order order; /* large; one loop, one thread */
	struct crew__node *head = &master->family.children;
	crew__must(count <= CREW__KICK_MOST);
	order.by = by;
	*ret_handed_on = (struct crew__handed_on){ 0 };
	for (struct crew__node *n = head->next; n != head; n = n->next) {
		struct crew__child *child = crew__container_of(n, struct crew__child, node);
		pick(child->entry->life.life, ids, count, &order);
		if (order.count == 0)
			continue;
		if (crew__child_kick(child, &order) < 0)
			ret_handed_on->late += order.count;
		else
			ret_handed_on->told += order.count;
	}
}

/* ---- set ----------------------------------------------------------------------------------- */

/* Old workers that still drain have settings of their own; they are to follow as well. */
static void tell_child(struct crew__master *master, struct crew__child *child, const char *text,
	const struct crew__settings_change *change, struct crew__handed_on *handed_on)
{
	struct crew__settings_change same;
	char error[256];
	if (change->service >= 0 && child->service != master->generation->place[change->service])
		return;
	if (child->generation != master->generation &&
		crew__settings_set_live(
			child->generation->settings, text, &same, error, sizeof(error)) < 0)
		return;
	if (crew__child_set(child, change))
		handed_on->told++;
	else
		handed_on->late++;
}

int crew__master_set(struct crew__master *master, const char *text, uid_t by,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	struct crew__generation *generation = master->generation;
	struct crew__settings_change change;
	if (master->state == CREW__MASTER_RELOADING &&
		(master->reload.planner > 0 || master->reload.next)) {
		snprintf(ret_error, error_size,
			"a reload is under way, which would undo it; set it when that is done");
		return -EBUSY;
	}
	int status = crew__change_settings(
		generation->settings, master->registry, text, &change, ret_error, error_size);
	if (status < 0)
		return status;
	status = crew__generation_renew(generation);
	if (status < 0) {
		crew__settings_undo_live(generation->settings, &change);
		snprintf(ret_error, error_size, "cannot keep the setting: %s", strerror(-status));
		return status;
	}
	crew__change_log(generation->settings, &change, by);
	crew__log_set_level(generation->settings->log_level);
	*ret_handed_on = (struct crew__handed_on){ 0 };
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		tell_child(master, crew__container_of(n, struct crew__child, node), text, &change,
			ret_handed_on);
	}
	return 0;
}
