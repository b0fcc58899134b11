/* resource.c - see resource.h. */
#include "web/resource.h"

#include "proto/http1.h"

#include <string.h>

static bool is_word(crew_bytes a, const char *word)
{
	return a.len == strlen(word) && memcmp(a.data, word, a.len) == 0;
}

/* Of that very name; of none: that for any. */
static const struct crew__action *own_action(const struct crew__resource *r, crew_bytes method)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct crew__action *a = &r->actions[i];
		if (a->method.len == method.len &&
			(method.len == 0 || memcmp(a->method.data, method.data, method.len) == 0))
			return a;
	}
	return NULL;
}

const struct crew__action *crew__resource_other(const struct crew__resource *r, crew_bytes method)
{
	const struct crew__action *own = method.len > 0 ? own_action(r, method) : NULL;
	if (own)
		return own;
	return is_word(method, "HEAD") ? r->get : r->any;
}

/* "GET, HEAD, OPTIONS": what is named, and what follows from it. */
static int write_allow(struct crew__arena *arena, struct crew__resource *r)
{
	static const char head[] = "HEAD, ", options[] = "OPTIONS, ";
	size_t size = sizeof(head) + sizeof(options);
	for (size_t i = 0; i < r->count; i++)
		size += r->actions[i].method.len + 2;
	char *text = crew__arena_take(arena, size), *to = text;
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < r->count; i++) {
		crew_bytes method = r->actions[i].method;
		if (method.len == 0)
			continue;
		to = mempcpy(mempcpy(to, method.data, method.len), ", ", 2);
		if (is_word(method, "GET") && !own_action(r, CREW_BYTES("HEAD")))
			to = mempcpy(to, head, sizeof(head) - 1);
	}
	if (!own_action(r, CREW_BYTES("OPTIONS")))
		to = mempcpy(to, options, sizeof(options) - 1);
	r->allow = (crew_bytes){ text, (size_t)(to - text) - 2 };
	return 0;
}

static int add_action(
	struct crew__arena *arena, struct crew__resource *r, const struct crew__action *action)
{
	struct crew__action *grown = crew__arena_grow(
		arena, r->actions, &r->capacity, r->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	r->actions = grown;
	r->actions[r->count++] = *action;
	r->any = own_action(r, (crew_bytes){ "", 0 });
	r->get = own_action(r, CREW_BYTES("GET"));
	if (!r->get)
		r->get = r->any;
	return write_allow(arena, r);
}

static int check_method(crew_bytes method, const char **ret_why)
{
	if (!crew__http_token(method)) {
		*ret_why = "its methods are words with one space between them (\"GET POST\")";
		return -EINVAL;
	}
	for (size_t i = 0; i < method.len; i++)
		if (method.data[i] >= 'a' && method.data[i] <= 'z') {
			*ret_why = "methods are written in capitals (case matters)";
			return -EINVAL;
		}
	return 0;
}

static int add_method(struct crew__arena *arena, struct crew__resource *r,
	const struct crew__action *action, bool unless_taken, const char **ret_why)
{
	bool any = action->method.len == 0;
	int error = any ? 0 : check_method(action->method, ret_why);
	if (error)
		return error;
	if (!own_action(r, action->method))
		return add_action(arena, r, action);
	if (unless_taken)
		return 0;
	*ret_why = any ? "another route takes any method at the same path"
		       : "another route takes the same method at the same path";
	return -EEXIST;
}

int crew__resource_add(struct crew__arena *arena, struct crew__resource *r, const char *methods,
	const struct crew__action *base, bool unless_taken, const char **ret_why)
{
	struct crew__action action = *base;
	if (!methods)
		return add_method(arena, r, &action, unless_taken, ret_why);
	crew_bytes all = crew__arena_copy(arena, crew_str(methods));
	if (!all.data)
		return -ENOMEM;
	const char *at = all.data;
	for (;;) {
		action.method = (crew_bytes){ at, strcspn(at, " ") };
		if (action.method.len == 0) /* which alone would mean any */
			return check_method(action.method, ret_why);
		int error = add_method(arena, r, &action, unless_taken, ret_why);
		at += action.method.len;
		if (error || *at == '\0')
			return error;
		at++;
	}
}
