/* http_keep.c - requests that outlive their callback: every view is moved to memory of its own. */
#include "service/http_upload.h"

#include <stdlib.h>
#include <string.h>

/* Where the bytes of a request lie: from its first to the end of what any view shows. */
struct span {
	const char *begin;
	const char *end;
	char *copy;
};

static void widen(struct span *span, crew_bytes view)
{
	if (view.len > 0 && view.data + view.len > span->end)
		span->end = view.data + view.len;
}

static struct span span_of(const crew_request *r)
{
	struct span span = { .begin = r->method.data, .end = r->method.data };
	widen(&span, r->method);
	widen(&span, r->target);
	widen(&span, r->body);
	for (size_t i = 0; i < r->header_count; i++) {
		widen(&span, r->headers[i].name);
		widen(&span, r->headers[i].value);
	}
	return span;
}

/* A view into the copy; one from elsewhere (a literal) stays. */
static void move(const struct span *span, crew_bytes *view)
{
	if (view->data >= span->begin && view->data <= span->end)
		view->data = span->copy + (view->data - span->begin);
}

static const crew_header *move_fields(
	const struct span *span, struct crew__arena *arena, const crew_header *fields, size_t count)
{
	crew_header *copy = crew__arena_take(arena, count * sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = fields[i];
		move(span, &copy[i].name);
		move(span, &copy[i].value);
	}
	return copy;
}

/* They are behind the body, or, when that came in parts, in memory of their own. */
static const crew_header *copy_trailers(
	struct crew__arena *arena, const crew_header *trailers, size_t count)
{
	crew_header *copy = crew__arena_take(arena, count * sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i].name = crew__arena_copy(arena, trailers[i].name);
		copy[i].value = crew__arena_copy(arena, trailers[i].value);
		if (!copy[i].name.data || !copy[i].value.data)
			return NULL;
	}
	return copy;
}

static bool copy_request(struct crew__kept *kept, const crew_request *from)
{
	crew_request *r = &kept->request.public;
	struct span span = span_of(from);
	size_t len = (size_t)(span.end - span.begin);
	span.copy = crew__arena_take(&kept->side.arena, len);
	if (!span.copy)
		return false;
	memcpy(span.copy, span.begin, len);
	*r = *from;
	crew_bytes *views[] = { &r->method, &r->target, &r->path, &r->query, &r->host, &r->body };
	for (size_t i = 0; i < crew__lengthof(views); i++)
		move(&span, views[i]);
	r->headers = move_fields(&span, &kept->side.arena, from->headers, from->header_count);
	r->trailers = copy_trailers(&kept->side.arena, from->trailers, from->trailer_count);
	for (uint32_t i = 0; i < kept->side.param_count; i++)
		move(&span, &kept->side.params[i].value);
	struct crew__http1_request *parsed = &kept->request;
	crew_bytes *more[] = { &parsed->ws_key, &parsed->ws_version, &parsed->ws_protocol,
		&parsed->ws_extensions };
	for (size_t i = 0; i < crew__lengthof(more); i++)
		move(&span, more[i]);
	r->side = &kept->side;
	return r->headers && r->trailers;
}

/* The first copy of the request in hand takes its place: the answer finds there what it needs. */
static void attach(struct crew__kept *kept, struct crew__exchange *e)
{
	struct crew__request_side *first = &kept->side.worker->http->side;
	if (!e || e->side != first || first->exchange != e)
		return;
	kept->side.exchange = e;
	e->side = &kept->side;
}

static void detach(struct crew__kept *kept, struct crew__exchange *e)
{
	struct crew__request_side *first = &kept->side.worker->http->side;
	if (e->side != &kept->side)
		return;
	crew__gzip_note(e);
	e->side = first->exchange == e ? first : NULL; /* its handler still runs */
}

crew_request *crew_request_keep(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return NULL;
	struct crew__exchange *e = side->exchange;
	if (e && e->kept && &e->kept->side == side && !e->kept_given) {
		e->kept_given = true;
		return &e->kept->request.public;
	}
	struct crew__kept *kept = calloc(1, sizeof(*kept));
	if (!kept)
		return NULL;
	kept->side.worker = side->worker;
	kept->side.arena.max = side->arena.max * 2;
	kept->side.route = side->route;
	kept->side.param_count = side->param_count;
	memcpy(kept->side.params, side->params, sizeof(side->params));
	memcpy(kept->side.id, crew_request_id(request), sizeof(side->id));
	kept->request = *crew__container_of(request, struct crew__http1_request, public);
	bool parts = crew__parts_wanted(
		request); /* then no body is there to read them from again */
	if (!copy_request(kept, request) || (parts && crew__uploads_copy(&kept->side, side) < 0)) {
		crew__uploads_close(&kept->side);
		crew__arena_release(&kept->side.arena);
		free(kept);
		return NULL;
	}
	/* It cannot ask its connection any more. */
	kept->side.client =
		crew__arena_copy(&kept->side.arena, crew_str(crew__client_of(request))).data;
	if (!kept->side.client)
		kept->side.client = "unknown";
	kept->side.session = crew__session_ref(side->session);
	attach(kept, e);
	return &kept->request.public;
}

void crew_request_free(crew_request *request)
{
	if (!request)
		return;
	struct crew__kept *kept = crew__container_of(request, struct crew__kept, request.public);
	struct crew__exchange *e = kept->side.exchange;
	if (e && e->kept == kept && e->in_handler) {
		e->kept_given = false; /* it is lent until the handler returns */
		return;
	}
	if (e)
		detach(kept, e);
	crew__uploads_close(&kept->side);
	crew__session_free(kept->side.session);
	crew__arena_release(&kept->side.arena);
	free(kept);
}
