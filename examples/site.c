/* site.c - a small web site: a guest book that one must be logged in to write into.
 *
 *   build/examples/site start
 *   open http://127.0.0.1:8090/ and log in as anybody, with the password `swordfish`
 *   curl http://127.0.0.1:8090/api/notes
 *
 * Shown here: groups of routes with middleware, sessions (login, logout, a message that is shown
 * once), forms with and without a file, pages made of a template, error pages, an API that scripts
 * of other sites may ask, and a WebSocket on the same port that tells of new notes.
 *
 * The notes are kept in the memory of the one worker; the sessions are in the run directory, so a
 * login outlives a restart and the book does not. */
#include <crew/crew.h>
#include <jansson.h>

#include "site_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NOTES_MOST = 100,
	NAME_MOST = 40,
	TEXT_MOST = 400
};

struct note {
	char name[NAME_MOST + 1];
	char text[TEXT_MOST + 1];
	char file[NAME_MOST + 1]; /* what came with it; "" for nothing */
	uint64_t file_size;
};

static struct note notes[NOTES_MOST]; /* a ring: number n is at n % NOTES_MOST */
static unsigned note_count;

static unsigned oldest_note(void)
{
	return note_count > NOTES_MOST ? note_count - NOTES_MOST : 0;
}

static bool is(crew_bytes bytes, const char *word)
{
	return bytes.len == strlen(word) && memcmp(bytes.data, word, bytes.len) == 0;
}

/* UTF-8 of at most so many bytes: all that JSON takes. */
static bool is_text(crew_bytes bytes, size_t most)
{
	json_t *string = bytes.len <= most ? json_stringn(bytes.data, bytes.len) : NULL;
	json_decref(string);
	return string != NULL;
}

/* ---- pages --------------------------------------------------------------------------------- */

/* Whatever a visitor wrote must never be read as a tag. */
static void put_escaped(FILE *out, crew_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		switch (text.data[i]) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(text.data[i], out);
		}
	}
}

struct page {
	const crew_request *request;
	const char *title;
	void (*content)(FILE *out, const crew_request *request);
};

static void put_user(FILE *out, const crew_request *request)
{
	crew_bytes name = crew_session_get(request, "name");

	if (!name.data) {
		fputs("<a href=\"/login\">Log in</a>", out);
		return;
	}
	fputs("<a href=\"/notes/new\">Write</a>"
	      "<form method=\"post\" action=\"/logout\"><button>Log out ",
		out);
	put_escaped(out, name);
	fputs("</button></form>", out);
}

static void put_flash(FILE *out, const crew_request *request)
{
	crew_bytes flash = crew_session_get(request, "flash");

	if (!flash.data)
		return;
	fputs("<p class=\"flash\">", out);
	put_escaped(out, flash);
	fputs("</p>", out);
}

/* What stands in the place of {{name}}. */
static void put_part(FILE *out, const struct page *page, crew_bytes name)
{
	if (is(name, "title"))
		fputs(page->title, out);
	else if (is(name, "user"))
		put_user(out, page->request);
	else if (is(name, "flash"))
		put_flash(out, page->request);
	else if (is(name, "content"))
		page->content(out, page->request);
}

static void put_page(FILE *out, const struct page *page)
{
	const char *at = (const char *)site_page, *end = at + sizeof(site_page), *close;

	while (at < end) {
		if (end - at < 2 || at[0] != '{' || at[1] != '{') {
			fputc(*at++, out);
			continue;
		}
		at += 2;
		close = memchr(at, '}', (size_t)(end - at));
		put_part(out, page, (crew_bytes){ at, (size_t)(close - at) });
		at = close + 2;
	}
}

static void show(crew_conn *c, const struct page *page)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out)
		put_page(out, page);
	if (out && fclose(out) == 0)
		crew_reply(c, &(crew_response){
				      .type = "text/html; charset=utf-8", .body = { text, len } });
	else
		crew_reply_error(c, page->request, 503, "There is no memory for this page.");
	free(text);
}

/* ---- the book ------------------------------------------------------------------------------ */

static void put_notes(FILE *out, const crew_request *request)
{
	(void)request;
	fputs("<ul id=\"notes\">", out);
	for (unsigned i = note_count; i > oldest_note(); i--) {
		const struct note *note = &notes[(i - 1) % NOTES_MOST];
		fputs("<li><b>", out);
		put_escaped(out, crew_str(note->name));
		fputs("</b>: ", out);
		put_escaped(out, crew_str(note->text));
		if (note->file[0] != '\0') {
			fputs(" <i>", out);
			put_escaped(out, crew_str(note->file));
			fprintf(out, ", %llu bytes</i>", (unsigned long long)note->file_size);
		}
		fputs("</li>", out);
	}
	fputs("</ul>", out);
}

static void book(crew_conn *c, const crew_request *request)
{
	show(c, &(struct page){ request, "Guest book", put_notes });
}

static void put_form(FILE *out, const crew_request *request)
{
	(void)request;
	fputs("<form method=\"post\" action=\"/notes\" enctype=\"multipart/form-data\">"
	      "<label>Your note <textarea name=\"text\" maxlength=\"400\" required></textarea></label>"
	      "<label>A file to go with it <input type=\"file\" name=\"file\"></label>"
	      "<button>Write it</button></form>",
		out);
}

static void new_note(crew_conn *c, const crew_request *request)
{
	show(c, &(struct page){ request, "A new note", put_form });
}

static json_t *note_json(const struct note *note)
{
	return json_pack(
		"{s:s, s:s, s:s}", "name", note->name, "text", note->text, "file", note->file);
}

/* To every page that is open. */
static void tell(crew_conn *c, const struct note *note)
{
	json_t *object = note_json(note);
	char *text = json_dumps(object, JSON_COMPACT);
	crew_shared *s = crew_shared_new(crew_str(text));

	crew_broadcast(crew_service_of(c), s);
	crew_shared_unref(s);
	free(text);
	json_decref(object);
}

static void copy(char *room, size_t size, crew_bytes bytes)
{
	snprintf(room, size, "%.*s", (int)bytes.len, bytes.data);
}

static void add_note(crew_conn *c, const crew_request *request)
{
	crew_bytes text = crew_request_form(request, "text");
	const crew_upload *file = crew_request_file(request, "file");
	struct note *note = &notes[note_count % NOTES_MOST];

	if (text.len == 0 || !is_text(text, TEXT_MOST)) {
		crew_reply_error(c, request, 422, "A note has 1 to 400 bytes of text.");
		return;
	}
	if (file && !is_text(file->filename, NAME_MOST)) {
		crew_reply_error(c, request, 422, "That file has a long name.");
		return;
	}
	memset(note, 0, sizeof(*note));
	copy(note->name, sizeof(note->name), crew_session_get(request, "name"));
	copy(note->text, sizeof(note->text), text);
	if (file && file->filename.len > 0) { /* the form sends an empty one for none */
		copy(note->file, sizeof(note->file), file->filename);
		note->file_size = file->size;
	}
	note_count++;
	tell(c, note);
	crew_session_flash(request, "flash", CREW_BYTES("Your note is in the book."));
	crew_reply_redirect(c, 303, "/");
}

/* ---- who one is ---------------------------------------------------------------------------- */

static void put_login(FILE *out, const crew_request *request)
{
	(void)request;
	fputs("<form method=\"post\" action=\"/login\">"
	      "<label>Name <input name=\"name\" maxlength=\"40\" required></label>"
	      "<label>Password <input name=\"password\" type=\"password\"></label>"
	      "<button>Log in</button></form>",
		out);
}

static void login_form(crew_conn *c, const crew_request *request)
{
	show(c, &(struct page){ request, "Log in", put_login });
}

static void login(crew_conn *c, const crew_request *request)
{
	crew_bytes name = crew_request_form(request, "name");
	crew_bytes password = crew_request_form(request, "password");
	bool good = name.len > 0 && is_text(name, NAME_MOST) && is(password, "swordfish");

	if (!good) {
		crew_session_flash(request, "flash", CREW_BYTES("That is not the password."));
		crew_reply_redirect(c, 303, "/login");
		return;
	}
	crew_session_renew(request); /* whoever knew the old id does not know this one */
	crew_session_set(request, "name", name);
	crew_session_flash(request, "flash", CREW_BYTES("Welcome."));
	crew_reply_redirect(c, 303, "/");
}

static void logout(crew_conn *c, const crew_request *request)
{
	crew_session_end(request);
	crew_reply_redirect(c, 303, "/");
}

/* Before every route of a group: some must be logged in for. */
static bool must_be_logged_in(crew_conn *c, const crew_request *request)
{
	if (crew_session_get(request, "name").data)
		return true;
	crew_session_flash(request, "flash", CREW_BYTES("Log in first."));
	crew_reply_redirect(c, 303, "/login");
	return false;
}

/* After every route: nobody shows these pages inside of theirs. */
static void not_in_frames(crew_conn *c, crew_response *response)
{
	(void)response;
	crew_reply_header(c, "X-Frame-Options", CREW_BYTES("DENY"));
}

/* ---- the API ------------------------------------------------------------------------------- */

static void reply_json(crew_conn *c, json_t *take_value)
{
	char *text = json_dumps(take_value, JSON_COMPACT);

	crew_reply(c, &(crew_response){ .type = "application/json", .body = crew_str(text) });
	free(text);
	json_decref(take_value);
}

static void api_notes(crew_conn *c, const crew_request *request)
{
	json_t *array = json_array();
	(void)request;
	for (unsigned i = oldest_note(); i < note_count; i++)
		json_array_append_new(array, note_json(&notes[i % NOTES_MOST]));
	reply_json(c, array);
}

static void api_note(crew_conn *c, const crew_request *request)
{
	char number[16];
	copy(number, sizeof(number), crew_request_param(request, "number"));
	unsigned long n = strtoul(number, NULL, 10);

	if (n < oldest_note() || n >= note_count)
		crew_reply_error(c, request, 404, "There is no note of that number.");
	else
		reply_json(c, note_json(&notes[n % NOTES_MOST]));
}

/* ---- what is where ------------------------------------------------------------------------- */

static const crew_route note_routes[] = {
	{ .method = "POST", .path = "/", .on_request = add_note },
	{ .method = "GET", .path = "/new", .on_request = new_note },
	{ 0 },
};

static const crew_route api_routes[] = {
	{ .method = "GET", .path = "/notes", .on_request = api_notes },
	{ .method = "GET", .path = "/notes/:number", .on_request = api_note },
	{ 0 },
};

static const crew_cors anybody = { .origins = "*" };
static const crew_websocket live = { 0 }; /* for pages of this site alone */

static const crew_route routes[] = {
	{ .method = "GET", .path = "/", .on_request = book },
	{ .method = "GET", .path = "/login", .on_request = login_form },
	{ .method = "POST", .path = "/login", .on_request = login },
	{ .method = "POST", .path = "/logout", .on_request = logout },
	{ .path = "/notes", .group = note_routes, .before = { must_be_logged_in } },
	{ .path = "/api", .group = api_routes, .cors = &anybody },
	{ .path = "/live", .websocket = &live },
	{ 0 },
};

static const crew_route site_routes[] = {
	{ .path = "/", .group = routes, .after = { not_in_frames } },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const crew_sessions sessions = {
		.insecure = true, /* as this is plain HTTP; behind TLS leave it out */
	};
	static const crew_service site = {
		.name = "site",
		.listen = "http://127.0.0.1:8090",
		.routes = site_routes,
		.sessions = &sessions,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &site } });
}
