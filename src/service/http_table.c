/* http_table.c - a table of routes becomes plans in a router, when the worker starts.
 *
 * A group's path is put before its routes' paths, without the slash at its end; a route `/` of a
 * group is at the group's path with the slash and without. What is wrong is logged, once, with the
 * route. */
#include "service/http_route.h"

#include "base/log.h"
#include "web/cors.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	GROUPS_MOST = 16, /* one inside the other */
	PLANS_MOST = 256 * 1024 * 1024
};

/* A table, and the groups around it: the innermost first. */
struct level {
	const struct level *outer;
	const crew_route *group;      /* NULL: the service's own table */
	const char *prefix;           /* of all paths in it, without a slash at the end */
	struct crew__route_plan plan; /* what holds for all routes in it */
	unsigned depth;
};

/* A group's own path without the slash, for its route `/`: when no other route has it. */
struct alias {
	struct alias *next;
	const char *methods;
	crew_bytes pattern;
	const struct crew__route_plan *plan;
};

struct table {
	struct crew__routes *routes;
	const crew_worker *worker;
	struct alias *aliases;
	char path[CREW__ROUTER_PATTERN_MOST + 2]; /* of the route in hand, whole */
};

static int wrong(const struct table *t, const crew_route *route, const char *why)
{
	crew__log(CREW_ERROR, "service \"%s\": route \"%s%s%.200s\": %s; correct it in the program",
		t->worker->service->name, route->method ? route->method : "",
		route->method ? " " : "", t->path, why);
	return -EINVAL;
}

/* ---- one route ----------------------------------------------------------------------------- */

static const char *handler_fault(const crew_route *r)
{
	bool plain = r->on_request && !r->websocket;
	int handlers = plain + (r->files != NULL) + (r->websocket != NULL) + (r->group != NULL);
	if (handlers == 0)
		return "it has no on_request, files, websocket or group";
	if (handlers > 1)
		return "it has more than one of on_request, files, websocket and group";
	if (r->on_body && !plain)
		return "on_body goes with on_request only";
	if (r->group && (r->method || r->max_body))
		return "method and max_body are for routes, not for a group";
	if (r->group && strstr(r->path, "/*"))
		return "a group's path cannot have `*`, as its routes follow it";
	return NULL;
}

static const char *fault(const crew_route *r)
{
	const char *why = NULL;
	if (r->path[0] != '/')
		return "its path does not begin with a slash";
	if (r->max_body < 0 && r->max_body != CREW_OFF)
		return "max_body is negative and not CREW_OFF";
	if (r->max_body == CREW_OFF && !r->on_body)
		return "max_body can be CREW_OFF only with on_body, as the body is held in memory";
	if (r->before[CREW_MAX_MIDDLEWARE] || r->after[CREW_MAX_MIDDLEWARE])
		return "before and after hold eight functions and end with NULL";
	if (r->cors && crew__cors_check(r->cors, &why) < 0)
		return why;
	if (r->files && !strstr(r->path, "/*"))
		return "the path of files ends in `*name`, which stands for the file";
	return handler_fault(r);
}

static size_t before_count(crew_before_fn *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

static size_t after_count(crew_after_fn *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

/* Outer ones first. */
static int join_before(
	struct crew__arena *arena, crew_before_fn *const *own, struct crew__route_plan *plan)
{
	size_t outer = before_count(plan->before), more = before_count(own);
	if (more == 0)
		return 0;
	crew_before_fn **list = crew__arena_take(arena, (outer + more + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < outer; i++)
		list[i] = plan->before[i];
	for (size_t i = 0; i <= more; i++)
		list[outer + i] = i < more ? own[i] : NULL;
	plan->before = list;
	return 0;
}

/* Outer ones last. */
static int join_after(
	struct crew__arena *arena, crew_after_fn *const *own, struct crew__route_plan *plan)
{
	size_t outer = after_count(plan->after), more = after_count(own);
	if (more == 0)
		return 0;
	crew_after_fn **list = crew__arena_take(arena, (outer + more + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < more; i++)
		list[i] = own[i];
	for (size_t i = 0; i <= outer; i++)
		list[more + i] = i < outer ? plan->after[i] : NULL;
	plan->after = list;
	return 0;
}

/* What the route or group adds to what holds around it. */
static int add_own(
	struct crew__arena *arena, const crew_route *route, struct crew__route_plan *plan)
{
	plan->route = route;
	if (route->cors)
		plan->cors = route->cors;
	if (route->sessions)
		plan->sessions = route->sessions;
	int error = join_before(arena, route->before, plan);
	return error ? error : join_after(arena, route->after, plan);
}

static void set_limit(struct crew__route_plan *plan)
{
	const crew_route *route = plan->route;
	plan->stream = route->on_body != NULL;
	if (route->max_body == CREW_OFF)
		plan->limit = UINT64_MAX;
	else
		plan->limit = (uint64_t)route->max_body;
}

static struct crew__route_plan *new_plan(
	struct table *t, const struct level *level, const crew_route *route)
{
	struct crew__arena *arena = &t->routes->arena;
	struct crew__route_plan *plan = crew__arena_take(arena, sizeof(*plan));
	if (!plan)
		return NULL;
	*plan = level->plan;
	if (add_own(arena, route, plan) < 0)
		return NULL;
	set_limit(plan);
	plan->is_plain = route->on_request && !route->websocket && !plan->stream && !plan->cors &&
			 !plan->sessions && !plan->before;
	return plan;
}

/* Files and WebSockets are there for GET, unless the program says otherwise. */
static const char *methods_of(const crew_route *route)
{
	bool get = route->files || (route->websocket && !route->on_request);
	return route->method || !get ? route->method : "GET";
}

static int note_alias(struct table *t, const char *prefix, const struct crew__route_plan *plan)
{
	struct alias *alias = crew__arena_take(&t->routes->arena, sizeof(*alias));
	crew_bytes pattern = crew__arena_copy(&t->routes->arena, crew_str(prefix));
	if (!alias || !pattern.data)
		return -ENOMEM;
	*alias = (struct alias){ t->aliases, methods_of(plan->route), pattern, plan };
	t->aliases = alias;
	return 0;
}

static int add_route(struct table *t, const struct level *level, const crew_route *route)
{
	const char *why = NULL, *methods = methods_of(route);
	const struct crew__action for_all = { .target = route };
	struct crew__route_plan *plan = new_plan(t, level, route);
	if (!plan)
		return -ENOMEM;
	int error = crew__router_add(
		t->routes->router, methods, crew_str(t->path), plan, false, &why);
	if (error)
		return why ? wrong(t, route, why) : error;
	if (level->prefix[0] != '\0' && strcmp(route->path, "/") == 0)
		error = note_alias(t, level->prefix, plan);
	return error ? error
		     : crew__resource_add(
			       &t->routes->arena, &t->routes->all, methods, &for_all, true, &why);
}

static int add_aliases(struct table *t)
{
	const char *why;
	int error = 0;
	for (struct alias *a = t->aliases; a && !error; a = a->next)
		error = crew__router_add(
			t->routes->router, a->methods, a->pattern, a->plan, true, &why);
	return error;
}

/* ---- tables -------------------------------------------------------------------------------- */

static int add_table(struct table *t, const struct level *level, const crew_route *routes);

static bool is_inside_itself(const struct level *level, const crew_route *table)
{
	for (; level; level = level->outer)
		if (level->group && level->group->group == table)
			return true;
	return false;
}

static int add_group(struct table *t, const struct level *outer, const crew_route *group)
{
	size_t len = strlen(t->path);
	char prefix[sizeof(t->path)];
	if (is_inside_itself(outer, group->group))
		return wrong(t, group, "the group holds itself");
	if (outer->depth == GROUPS_MOST)
		return wrong(t, group, "more than 16 groups are inside each other");
	len -= t->path[len - 1] == '/';
	memcpy(prefix, t->path, len);
	prefix[len] = '\0';
	struct level level = { outer, group, prefix, outer->plan, outer->depth + 1 };
	int error = add_own(&t->routes->arena, group, &level.plan);
	return error ? error : add_table(t, &level, group->group);
}

static int add_entry(struct table *t, const struct level *level, const crew_route *route)
{
	int n = snprintf(t->path, sizeof(t->path), "%s%s", level->prefix, route->path);
	if (n < 0 || (size_t)n > CREW__ROUTER_PATTERN_MOST)
		return wrong(t, route, "its path is longer than 1024 bytes");
	const char *why = fault(route);
	if (why)
		return wrong(t, route, why);
	return route->group ? add_group(t, level, route) : add_route(t, level, route);
}

static int add_table(struct table *t, const struct level *level, const crew_route *routes)
{
	int error = 0;
	for (; !error && routes && routes->path; routes++)
		error = add_entry(t, level, routes);
	return error;
}

static int check_service_cors(const struct table *t)
{
	const char *why;
	const crew_service *service = t->worker->service;
	if (!service->cors || crew__cors_check(service->cors, &why) == 0)
		return 0;
	crew__log(CREW_ERROR, "service \"%s\": %s; correct it in the program", service->name, why);
	return -EINVAL;
}

int crew__route_table(struct crew__routes *routes, const crew_worker *w)
{
	struct table t = { .routes = routes, .worker = w };
	struct level level = { .prefix = "" };
	routes->arena.max = PLANS_MOST;
	routes->rest = (struct crew__route_plan){
		.cors = w->service->cors,
		.sessions = w->service->sessions,
	};
	level.plan = routes->rest;
	int error = check_service_cors(&t);
	if (!error)
		error = add_table(&t, &level, w->service->routes);
	return error ? error : add_aliases(&t);
}
