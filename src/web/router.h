/* router.h - which of many path patterns a request's path is, and what it has for a method.
 *
 * A pattern is made of segments: text as a path has it (`%XX` stands for the byte XX), `:name`,
 * which stands for one segment that is not empty, or, as the last, `*name`, which stands for all
 * the rest, slashes and all, nothing included. A more particular pattern wins over one that has
 * `:name` where it has text, and that over one that has `*name` there; when the winner's rest does
 * not match, the next is tried. The path decides first, then the method.
 *
 * Paths are compared by what they mean (RFC 3986 section 6.2.2.2): `/a%62c` is `/abc`, but `%2F` is
 * a slash inside a segment and never one between two. Dots are not looked at: `/a/../b` has three
 * segments, as the client's library should have removed them and somebody else must not guess.
 *
 * All patterns stand in one radix tree whose edges are texts with escapes already decoded. It is
 * built when a worker starts, and never changed. Matching allocates nothing, visits each node at
 * most once, and needs a level of stack only where a text and a `:name` or `*name` compete. */
#ifndef CREW_WEB_ROUTER_H
#define CREW_WEB_ROUTER_H

#include "web/resource.h"

enum {
	CREW__ROUTER_PARAMS_MOST = 16,
	CREW__ROUTER_PATTERN_MOST = 1024, /* bytes; so the levels of a match have a bound as well */
};

struct crew__router;

struct crew__router *crew__router_new(void);         /* NULL without memory */
void crew__router_free(struct crew__router *router); /* NULL is allowed */

/* `methods`, separated by spaces (NULL: any), at `pattern` lead to `target`, which is not NULL.
 * With `unless_taken` those that lead somewhere already are passed over.
 * 0; -ENOMEM; -EINVAL for a bad pattern or method, -EEXIST for one that leads somewhere already:
 * then `ret_why` is a static sentence. After an error the router is only to be freed. */
int crew__router_add(struct crew__router *router, const char *methods, crew_bytes pattern,
	const void *target, bool unless_taken, const char **ret_why);

/* The pattern that takes the path, which holds no NUL (as no request does); NULL: none, as for a
 * path with a bad escape or an escaped NUL (crew__percent_good). What stands in the place of its
 * params goes to the values in `params`, not decoded; how many they are, and their names, comes
 * with the action. */
const struct crew__resource *crew__router_match(const struct crew__router *router, crew_bytes path,
	crew_header params[CREW__ROUTER_PARAMS_MOST]);

#endif
