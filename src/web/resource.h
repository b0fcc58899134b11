/* resource.h - what one path has for which method: actions, and the words for Allow.
 *
 * Methods are compared exactly (RFC 9110 section 9.1). Not here: paths (router.h). Its memory is an
 * arena's, and goes with it. */
#ifndef CREW_WEB_RESOURCE_H
#define CREW_WEB_RESOURCE_H

#include "base/arena.h"

/* What a pattern has for one method. */
struct crew__action {
	crew_bytes method; /* empty: any that is not named */
	const void *target;
	const crew_bytes *names; /* of its params, in order: not NULL where there are any */
	unsigned name_count;
};

/* Zeroed is one that knows no method yet. */
struct crew__resource {
	const struct crew__action *get; /* for GET: its own, or that for any */
	const struct crew__action *any;
	struct crew__action *actions;
	size_t count, capacity;
	crew_bytes allow; /* what it knows: "GET, HEAD, OPTIONS" */
};

/* `methods`, one space between them (NULL: any), have the action `base` (whose method is not looked
 * at). With `unless_taken` those that have one already are passed over. 0, -ENOMEM, or -EINVAL for
 * bad methods and -EEXIST for one that has an action already: then `ret_why` is a static sentence.
 * Pointers to its actions are void. */
int crew__resource_add(struct crew__arena *arena, struct crew__resource *resource,
	const char *methods, const struct crew__action *base, bool unless_taken,
	const char **ret_why);

/* What the resource has for a method: its own, for HEAD that of GET, or that for any. NULL:
 * nothing. */
crew__rarely const struct crew__action *crew__resource_other(
	const struct crew__resource *resource, crew_bytes method);
static inline const struct crew__action *crew__resource_action(
	const struct crew__resource *resource, crew_bytes method)
{
	if (crew__likely(method.len == 3 && memcmp(method.data, "GET", 3) == 0))
		return resource->get;
	return crew__resource_other(resource, method);
}

#endif
