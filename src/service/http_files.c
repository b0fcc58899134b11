/* http_files.c - files as answers: which file, for whom, in which form, under which conditions.
 *
 *   path ─▸ plain? ─▸ the worker's cache (or the disk) ─▸ form by Accept-Encoding ─▸ conditions ─▸
 * range ─▸ sent (http_ranges.c)
 *
 * Whatever is not there, must not be shown or leads out of the root is one and the same 404. */
#include "service/http_files.h"

#include "base/log.h"
#include "web/accept.h"
#include "web/conditional.h"
#include "web/file_cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char mime_table[] = "/etc/mime.types";

/* A crew_files of the program's, in use. */
struct place {
	struct place *next;
	const crew_files *files; /* its name: who it is */
	struct crew__root root;
	const char *index;      /* "": none */
	char cache_control[40]; /* "": not said */
};

struct crew__files {
	struct crew__mime *mime;
	struct crew__file_cache *cache;
	struct place *places;
	struct crew__log_rate log;
};

/* ---- roots --------------------------------------------------------------------------------- */

/* The name of the index is the program's, but what it names is under the same rules. */
static int check_files(const crew_files *files)
{
	const char *index = files->index ? files->index : "";
	if (!files->root || files->root[0] == '\0') {
		crew__log(CREW_ERROR, "files without a root: set .root to a directory");
		return -EINVAL;
	}
	if (!crew__path_is_plain(crew_str(index)) || strchr(index, '/') ||
		strlen(index) > NAME_MAX) {
		crew__log(CREW_ERROR,
			"files in %s: the index \"%s\" is no name of a file that is shown: it must "
			"not begin with a dot nor hold a slash or backslash",
			files->root, index);
		return -EINVAL;
	}
	return 0;
}

static void write_cache_control(struct place *place, int64_t max_age_s)
{
	if (max_age_s > 0)
		snprintf(place->cache_control, sizeof(place->cache_control), "max-age=%lld",
			(long long)max_age_s);
	else if (max_age_s == 0)
		snprintf(place->cache_control, sizeof(place->cache_control), "no-cache");
}

static int open_place(struct crew__files *f, const crew_files *files, struct place **ret_place)
{
	int error = check_files(files);
	if (error)
		return error;
	struct place *place = calloc(1, sizeof(*place));
	if (!place)
		return -ENOMEM;
	error = crew__root_open(&place->root, files->root);
	if (error) {
		crew__log(CREW_ERROR,
			"files: the directory %s cannot be opened: %s; create it, or let the service's "
			"user enter it",
			files->root, strerror(-error));
		free(place);
		return error;
	}
	place->files = files;
	place->index = files->index ? files->index : "index.html";
	write_cache_control(place, files->max_age_s);
	place->next = f->places;
	f->places = place;
	*ret_place = place;
	return 0;
}

static int find_place(struct crew__files *f, const crew_files *files, struct place **ret_place)
{
	for (struct place *place = f->places; place; place = place->next) {
		if (place->files == files) {
			*ret_place = place;
			return 0;
		}
	}
	return open_place(f, files, ret_place);
}

/* ---- a worker's part ----------------------------------------------------------------------- */

static void free_files(struct crew__files *f)
{
	crew__file_cache_free(f->cache);
	crew__mime_free(f->mime);
	while (f->places) {
		struct place *place = f->places;
		f->places = place->next;
		crew__root_close(&place->root);
		free(place);
	}
	free(f);
}

static int read_mime(struct crew__files *f)
{
	int error = crew__mime_new(&f->mime, mime_table);
	if (!error || error == -ENOMEM)
		return error;
	crew__log(CREW_WARN,
		"types of files: %s cannot be read (%s): only the common ones are known",
		mime_table, strerror(-error));
	return crew__mime_new(&f->mime, NULL);
}

/* Made when the first is wanted: a service without files has nothing of this. */
static int want_files(crew_worker *w, struct crew__files **ret_files)
{
	struct crew__files *f = w->http->files;
	int error = 0;
	if (!f) {
		f = calloc(1, sizeof(*f));
		error = f ? read_mime(f) : -ENOMEM;
		if (!error)
			f->cache = crew__file_cache_new(f->mime);
		if (!error && !f->cache)
			error = -ENOMEM;
		if (error && f)
			free_files(f);
		if (!error)
			w->http->files = f;
	}
	*ret_files = f;
	return error;
}

/* The table of routes has been made: groups do not hold each other without end. */
static int open_of_routes(crew_worker *w, const crew_route *routes)
{
	struct crew__files *f;
	struct place *place;
	int error = 0;
	for (; routes && routes->path && !error; routes++) {
		if (routes->files) {
			error = want_files(w, &f);
			if (!error)
				error = find_place(f, routes->files, &place);
		}
		if (!error && routes->group)
			error = open_of_routes(w, routes->group);
	}
	return error;
}

int crew__files_start(crew_worker *w)
{
	return open_of_routes(w, w->service->routes);
}

void crew__files_end(crew_worker *w)
{
	if (w->http->files)
		free_files(w->http->files);
	w->http->files = NULL;
}

/* ---- answers without a file ---------------------------------------------------------------- */

/* An error's page with a field that it needs. */
static int64_t reply_error(
	crew_conn *c, const crew_request *request, int status, const char *name, crew_bytes value)
{
	int error = name ? crew_reply_header(c, name, value) : 0;
	return crew_reply_error(c, request, error ? 500 : status, NULL);
}

static int64_t reply_not_found(crew_conn *c, const crew_request *request)
{
	return reply_error(c, request, 404, NULL, (crew_bytes){ NULL, 0 });
}

/* It may be there, but we are short of something. */
static int64_t reply_unable(crew_conn *c, const crew_request *request, int error)
{
	struct crew__files *f = crew__worker_of(c)->http->files;
	char left_out[CREW__LEFT_OUT_MAX];
	if (f && crew__log_may(&f->log, 1, left_out))
		crew__log(CREW_ERROR, "files: one cannot be opened: %s%s", strerror(-error),
			left_out);
	return reply_error(c, request, 503, NULL, (crew_bytes){ NULL, 0 });
}

static bool may_stand_in_location(unsigned char byte)
{
	static const char marks[] = "-._~:/@!$&'()*+,;=%?";
	unsigned char lower = byte | 0x20;
	return (lower >= 'a' && lower <= 'z' && byte < 0x80) || (byte >= '0' && byte <= '9') ||
	       (byte != 0 && byte < 0x80 && strchr(marks, byte));
}

static char *put_escaped(char *to, crew_bytes from)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < from.len; i++) {
		unsigned char byte = (unsigned char)from.data[i];
		if (may_stand_in_location(byte)) {
			*to++ = (char)byte;
			continue;
		}
		*to++ = '%';
		*to++ = digits[byte >> 4];
		*to++ = digits[byte & 15];
	}
	return to;
}

/* To the same path with a slash behind it. Two slashes before it would name another host. */
static int64_t reply_with_slash(crew_conn *c, const crew_request *request)
{
	crew_bytes path = request->path, query = request->query;
	struct crew__request_side *side = crew__request_side(request);
	char *text = side ? crew__arena_take(&side->arena, 3 * (path.len + query.len) + 4) : NULL;
	if (!text)
		return reply_unable(c, request, -ENOMEM);
	while (path.len > 0 && path.data[0] == '/')
		path = (crew_bytes){ path.data + 1, path.len - 1 };
	char *to = text;
	*to++ = '/';
	to = put_escaped(to, path);
	*to++ = '/';
	if (query.len > 0) {
		*to++ = '?';
		to = put_escaped(to, query);
	}
	*to = '\0';
	return crew_reply_redirect(c, 301, text);
}

/* ---- which file ---------------------------------------------------------------------------- */

struct wanted {
	struct crew__files *files;
	const struct place *place;
	const struct crew__file_entry *entry;
};

static int look_up(crew_conn *c, struct wanted *wanted, crew_bytes path)
{
	uint64_t now = crew__loop_ns(crew__worker_of(c)->plan.loop);
	return crew__file_cache_get(
		wanted->files->cache, &wanted->place->root, path, now, &wanted->entry);
}

/* The index of the directory `path`, which is "" or ends with a slash, or gets one. */
static int look_up_index(crew_conn *c, struct wanted *wanted, crew_bytes path)
{
	char text[CREW__PATH_MOST + 1 + NAME_MAX + 1];
	const char *index = wanted->place->index;
	size_t len = path.len, index_len = strlen(index);
	if (index_len == 0)
		return -ENOENT;
	if (len > 0)
		memcpy(text, path.data, len);
	if (len > 0 && text[len - 1] != '/')
		text[len++] = '/';
	memcpy(text + len, index, index_len + 1);
	return look_up(c, wanted, (crew_bytes){ text, len + index_len });
}

static bool names_directory(crew_bytes path)
{
	return path.len == 0 || path.data[path.len - 1] == '/';
}

/* 0: wanted->entry is it; 1: it is a directory with an index, and the client should say so; or an
 * errno. */
static int find_file(
	crew_conn *c, const crew_request *request, crew_bytes path, struct wanted *wanted)
{
	if (names_directory(path))
		return look_up_index(c, wanted, path);
	int error = look_up(c, wanted, path);
	if (error != -EISDIR)
		return error;
	error = look_up_index(c, wanted, path);
	return error ? error : !names_directory(request->path);
}

/* ---- what of it ---------------------------------------------------------------------------- */

/* The form that the client wants most; of two that it wants alike, the shorter kind. */
static enum crew__form choose_form(
	const struct crew__file_entry *entry, const struct crew__wishes *wishes)
{
	static const char *const codings[CREW__FORMS] = { "identity", "br", "gzip" };
	enum crew__form best = CREW__FORM_PLAIN;
	unsigned most = 0;
	if (!crew__wishes_have(wishes, CREW__WISH_ACCEPT_ENCODING))
		return best;
	for (unsigned form = CREW__FORM_PLAIN + 1; form < CREW__FORMS; form++) {
		if (!entry->forms[form])
			continue;
		unsigned weight = crew__accept_coding(
			wishes->headers, wishes->header_count, codings[form]);
		if (weight > most) {
			most = weight;
			best = (enum crew__form)form;
		}
	}
	return best;
}

static bool has_siblings(const struct crew__file_entry *entry)
{
	return entry->forms[CREW__FORM_BROTLI] || entry->forms[CREW__FORM_GZIP];
}

struct fields {
	crew_header items[CREW__FILE_FIELDS_MOST];
	size_t count;
	size_t known; /* of them, those that a 304 has as well (RFC 9110 section 15.4.5) */
};

static void add(struct fields *fields, crew_bytes name, crew_bytes value)
{
	fields->items[fields->count++] = (crew_header){ name, value };
}

/* Nothing was modified later than now (RFC 9110 section 8.8.2.1). */
static void add_fields(
	crew_conn *c, struct fields *fields, const struct wanted *wanted, enum crew__form form)
{
	static const char *const codings[CREW__FORMS] = { NULL, "br", "gzip" };
	const char *cache_control = wanted->place->cache_control;
	const struct crew__file *file = wanted->entry->forms[form];
	const char *modified = file->from_future ? crew__http_date_now(crew__worker_of(c))
						 : file->modified_text;
	add(fields, CREW_BYTES("ETag"), file->etag);
	add(fields, CREW_BYTES("Last-Modified"), (crew_bytes){ modified, 29 });
	if (cache_control[0])
		add(fields, CREW_BYTES("Cache-Control"), crew_str(cache_control));
	if (has_siblings(wanted->entry))
		add(fields, CREW_BYTES("Vary"), CREW_BYTES("Accept-Encoding"));
	fields->known = fields->count;
	add(fields, CREW_BYTES("Accept-Ranges"), CREW_BYTES("bytes"));
	if (codings[form])
		add(fields, CREW_BYTES("Content-Encoding"), crew_str(codings[form]));
}

static int64_t reply_nowhere(crew_conn *c, const crew_request *request, uint64_t size)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
	return reply_error(c, request, 416, "Content-Range", (crew_bytes){ text, (size_t)n });
}

/* Ranges are for GET alone (RFC 9110 section 14.2). */
static enum crew__range_result read_range(const crew_request *request,
	const struct crew__wishes *wishes, const struct crew__validators *validators, uint64_t size,
	int64_t now, struct crew__ranges *ret_ranges)
{
	const uint64_t longest = INT64_MAX / 2; /* with room for what stands between parts */
	bool once = !(wishes->repeated >> CREW__WISH_RANGE & 1);
	if (crew__likely(!crew__wishes_have(wishes, CREW__WISH_RANGE)) || !once ||
		request->method.len != 3 || size > longest ||
		!crew__range_counts(wishes, validators, now))
		return CREW__RANGE_IGNORED;
	return crew__range_read(wishes->value[CREW__WISH_RANGE], size, ret_ranges);
}

static int64_t reply_known(crew_conn *c, const struct fields *fields)
{
	return crew_reply(c, &(crew_response){
				     .status = 304,
				     .headers = fields->items,
				     .header_count = fields->known,
			     });
}

/* What does not depend on the cache any more: the functions that come before the answer leaves may
 * answer others, and change it. */
static int64_t reply_form(crew_conn *c, const crew_request *request,
	const struct crew__wishes *wishes, struct crew__file_answer *answer, struct fields *fields)
{
	const struct crew__file *file = answer->file;
	const struct crew__validators validators = { file->etag, file->stamp.modified_s };
	int64_t now = wishes->present ? (int64_t)time(NULL) : 0;
	switch (crew__condition_judge(wishes, &validators, true, now)) {
	case CREW__CONDITION_FAILED:
		return reply_error(c, request, 412, NULL, (crew_bytes){ NULL, 0 });
	case CREW__CONDITION_NOT_MODIFIED:
		return reply_known(c, fields);
	case CREW__CONDITION_HOLDS:
		break;
	}
	enum crew__range_result range = read_range(
		request, wishes, &validators, file->size, now, &answer->ranges);
	if (range == CREW__RANGE_NOWHERE)
		return reply_nowhere(c, request, file->size);
	if (range == CREW__RANGE_IGNORED)
		answer->ranges.count = 0;
	answer->response.headers = fields->items;
	answer->response.header_count = fields->count;
	return crew__file_send(c, answer, fields->items);
}

static int64_t reply_entry(crew_conn *c, const crew_request *request, const struct wanted *wanted)
{
	struct crew__wishes wishes;
	struct fields fields = { .count = 0 };
	crew__wishes_read(&wishes, request->headers, request->header_count);
	enum crew__form form = choose_form(wanted->entry, &wishes);
	struct crew__file_answer answer = {
		.file = crew__file_ref(wanted->entry->forms[form]),
		.response = { .status = 200, .type = wanted->entry->type, .plain = true },
	};
	add_fields(c, &fields, wanted, form);
	int64_t queued = reply_form(c, request, &wishes, &answer, &fields);
	crew__file_unref(answer.file);
	return queued;
}

/* ---- exported ------------------------------------------------------------------------------ */

static bool is_reading(crew_bytes method)
{
	return (method.len == 3 && memcmp(method.data, "GET", 3) == 0) ||
	       (method.len == 4 && memcmp(method.data, "HEAD", 4) == 0);
}

static int64_t reply_file(
	crew_conn *c, const crew_request *request, const crew_files *files, crew_bytes path)
{
	struct wanted wanted;
	struct place *place;
	int error = want_files(crew__worker_of(c), &wanted.files);
	if (!error)
		error = find_place(wanted.files, files, &place);
	if (error)
		return reply_unable(c, request, error);
	wanted.place = place;
	if (!path.data || !crew__path_is_plain(path))
		return reply_not_found(c, request);
	error = find_file(c, request, path, &wanted);
	if (crew__likely(error == 0))
		return reply_entry(c, request, &wanted);
	if (error > 0)
		return reply_with_slash(c, request);
	if (crew__file_error_is_ours(error))
		return reply_unable(c, request, error);
	return reply_not_found(c, request);
}

int64_t crew_reply_file(
	crew_conn *c, const crew_request *request, const crew_files *files, crew_bytes path)
{
	if (!c || c->record->state > CREW__CONN_OPEN)
		return crew_reply(c, NULL);
	if (!request || !files || !crew__answer_is_due(crew__exchange_of(c)))
		return crew__answer_refused(c, -EINVAL);
	if (crew__unlikely(!is_reading(request->method)))
		return reply_error(c, request, 405, "Allow", CREW_BYTES("GET, HEAD"));
	return reply_file(c, request, files, path);
}
