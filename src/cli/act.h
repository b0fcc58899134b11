/* act.h - the commands that change what runs: `kick` and `set`.
 *
 * Whom a kick means is worked out here (act_choose.c), from the records in shared memory; the
 * master gets ids only and hands them to the workers. Whether it came about is read from the
 * records again. Both return an exit status and print a line to standard error when it is not 0. */
#ifndef CREW_CLI_ACT_H
#define CREW_CLI_ACT_H

#include "proc/attach.h"
#include "service/settings.h"

struct crew__act {
	const struct crew__settings *settings;
	bool json, quiet;
	const char *argument; /* an id or the beginning of one, an address; SERVICE.KEY=VALUE */
	const char *verdict;  /* kick: NULL unless given */
};

int crew__act_kick(const struct crew__act *act);
int crew__act_set(const struct crew__act *act);

/* ---- whom (act_choose.c) ---- */

/* Ids, allocated; in ascending order. */
struct crew__chosen {
	uint64_t *ids;
	size_t count;
};

/* The connections that `argument` or `verdict` means, one of them NULL. 0 with at least one; or a
 * negative errno with a text of one or more lines that says what is wrong: -EINVAL (they mean
 * nothing), -ENOENT (nobody), -ENOTUNIQ (several ids begin so; the text names them), -ENOMEM. */
int crew__act_choose(const struct crew__attached *attached, const char *argument,
	const char *verdict, struct crew__chosen *ret_chosen, char *ret_error, size_t error_size);

/* Split into those whose record is still there, and those that are gone: `chosen` keeps the former.
 * -ENOMEM. */
int crew__act_still_there(const struct crew__attached *attached, struct crew__chosen *chosen,
	struct crew__chosen *ret_gone);

#endif
