/* forms.c - tells what it gets of forms, and saves files.
 *
 *   ANY /show            a line for each query, form and file; and each cookie named in ?cookie=
 *   ANY /later           the same, a moment later, of the request that was kept
 *   POST /save?as=NAME   the file of the field `f`, under that name in the working directory: "0",
 *                        or the error
 *   GET /cookie?name=&value=&path=&age=   sets a cookie: "0" or the error
 *
 * A line is KIND and hexadecimal words: `query NAME VALUE`, `form NAME VALUE`, `cookie NAME VALUE`,
 * `file NAME FILENAME TYPE SIZE WHERE SUM`, where WHERE is `memory` or `disk` and SUM is the FNV-1a
 * of the bytes. A word is `-` when it is empty. */
#include <crew/crew.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is told --------------------------------------------------------------------------- */

struct text {
	char *data;
	size_t len, room;
};

static void *have(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...)
{
	va_list arguments;
	if (text->room - text->len < 256) {
		text->room = text->room * 2 + 256;
		text->data = have(realloc(text->data, text->room));
	}
	va_start(arguments, format);
	text->len += (size_t)vsnprintf(text->data + text->len, 256, format, arguments);
	va_end(arguments);
}

static void put_word(struct text *text, crew_bytes word)
{
	put(text, word.len > 0 ? " " : " -");
	for (size_t i = 0; i < word.len; i++)
		put(text, "%02x", (unsigned char)word.data[i]);
}

static void put_pairs(struct text *text, const char *kind, const crew_header *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		put(text, "%s", kind);
		put_word(text, pairs[i].name);
		put_word(text, pairs[i].value);
		put(text, "\n");
	}
}

static uint64_t sum_on(uint64_t sum, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static uint64_t sum_of(const crew_upload *file)
{
	static char room[64 * 1024];
	uint64_t sum = sum_on(UINT64_C(0xcbf29ce484222325), file->body.data, file->body.len);
	for (ssize_t n; file->fd >= 0 && (n = read(file->fd, room, sizeof(room))) > 0;)
		sum = sum_on(sum, room, (size_t)n);
	return sum;
}

static void put_files(struct text *text, const crew_upload *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		put(text, "file");
		put_word(text, files[i].name);
		put_word(text, files[i].filename);
		put_word(text, files[i].type);
		put(text, " %llu %s %016llx\n", (unsigned long long)files[i].size,
			files[i].fd < 0 ? "memory" : "disk", (unsigned long long)sum_of(&files[i]));
	}
}

static void put_cookies(struct text *text, const crew_request *r)
{
	size_t count;
	const crew_header *queries = crew_request_queries(r, &count);
	for (size_t i = 0; i < count; i++) {
		char name[100];
		if (queries[i].name.len != 6 || memcmp(queries[i].name.data, "cookie", 6) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)queries[i].value.len,
			queries[i].value.data);
		const crew_header cookie = { queries[i].value, crew_request_cookie(r, name) };
		if (cookie.value.data)
			put_pairs(text, "cookie", &cookie, 1);
	}
}

static void tell(crew_conn *c, const crew_request *r)
{
	struct text text = { 0 };
	size_t count;
	const crew_header *pairs = crew_request_queries(r, &count);
	put_pairs(&text, "query", pairs, count);
	pairs = crew_request_forms(r, &count);
	put_pairs(&text, "form", pairs, count);
	put_cookies(&text, r);
	const crew_upload *files = crew_request_files(r, &count);
	put_files(&text, files, count);
	crew_reply(c, &(crew_response){ .body = { text.data, text.len } });
	free(text.data);
}

/* ---- later ---------------------------------------------------------------------------------- */

struct promise {
	uint64_t id;
	crew_request *request;
};

static void tell_late(crew_worker *w, void *arg)
{
	struct promise *promise = arg;
	crew_conn *c = crew_find(promise->id);
	(void)w;
	if (c)
		tell(c, promise->request);
	crew_request_free(promise->request);
	free(promise);
}

static void tell_later(crew_conn *c, const crew_request *r)
{
	struct promise *promise = have(malloc(sizeof(*promise)));
	*promise = (struct promise){ crew_id(c), have(crew_request_keep(r)) };
	if (crew_timer_after(crew_worker_of(c), 20, tell_late, promise) < 0)
		abort();
}

/* ---- saving, cookies ------------------------------------------------------------------------ */

static void reply_number(crew_conn *c, int number)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", number);
	crew_reply(c, &(crew_response){ .body = crew_str(text) });
}

/* A value of the query as a string; at most 8 KiB. */
static const char *query(const crew_request *r, const char *name, char *room)
{
	crew_bytes value = crew_request_query(r, name);
	if (!value.data)
		return NULL;
	snprintf(room, 8192, "%.*s", (int)value.len, value.data);
	return room;
}

static void save(crew_conn *c, const crew_request *r)
{
	char name[8192];
	reply_number(c, crew_upload_save(crew_request_file(r, "f"), query(r, "as", name)));
}

static void set_cookie(crew_conn *c, const crew_request *r)
{
	char name[8192], path[8192], age[8192];
	const char *seconds = query(r, "age", age);
	const crew_cookie cookie = {
		.name = query(r, "name", name),
		.value = crew_request_query(r, "value"),
		.path = query(r, "path", path),
		.max_age_s = seconds ? atoi(seconds) : 0,
	};
	reply_number(c, crew_reply_cookie(c, &cookie));
}

static const crew_route routes[] = {
	{ NULL, "/show", .on_request = tell, .max_body = 1024 * 1024 * 1024 },
	{ NULL, "/later", .on_request = tell_later },
	{ "POST", "/save", .on_request = save },
	{ "GET", "/cookie", .on_request = set_cookie },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:8080",
		.routes = routes,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "forms", .services = { &web } });
}
