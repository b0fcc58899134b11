/* http_parts.c - a form of parts (multipart/form-data), taken apart as it comes.
 *
 * Its fields and short files are gathered in memory, longer files in temporary files
 * (http_upload.c). What a form may cost: its names and fields max_message; its short files 4 MiB in
 * all; 64 KiB for the part that is coming; and a share of the descriptors. The size of a file has
 * no limit but the body's. */
#include "service/http_upload.h"

#include "web/multipart.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	SHORT_FILE_MOST = 64 * 1024,
	SHORT_FILES_MOST = CREW__REQUEST_MEMORY,
	/* What a file gets at once when it comes in pieces of at least that many bytes; smaller
	 * ones are joined first, so that a body in many small chunks is not as many system calls.
	 */
	WRITE_LEAST = 8 * 1024,
};

struct crew__parts {
	struct crew__multipart form;
	crew_worker *worker;
	struct crew__request_side *side; /* of the kept request */
	crew_header *fields;             /* in the side's arena, as all that is found */
	size_t field_count, field_room, upload_room;
	size_t text;  /* bytes of names and fields */
	size_t small; /* bytes of short files */
	/* The part that is coming. */
	struct crew__buf gathered; /* of a file with a descriptor: what is still to be written */
	crew_upload file;          /* of a field: its name only */
	bool is_file;
	int status; /* once refused */
};

/* ---- one part ------------------------------------------------------------------------------- */

static int gather(struct crew__parts *p, crew_bytes data)
{
	int error = crew__buf_append(&p->gathered, data.data, data.len);
	return error == 0 ? 0 : error == -ENOBUFS ? 413 : 503;
}

/* Counts towards max_message. */
static bool may_hold(struct crew__parts *p, size_t len)
{
	size_t most = p->worker->max_message;
	if (p->text > most || len > most - p->text)
		return false;
	p->text += len;
	return true;
}

static bool keep(struct crew__parts *p, crew_bytes bytes, crew_bytes *ret_copy)
{
	*ret_copy = crew__arena_copy(&p->side->arena, bytes);
	return ret_copy->data != NULL;
}

static int begin_part(struct crew__parts *p)
{
	const struct crew__part_head *head = &p->form.part;
	p->is_file = head->is_file;
	p->file = (crew_upload){ .fd = -1 };
	if (!may_hold(p, head->name.len + head->filename.len + head->type.len))
		return 413;
	if (!keep(p, head->name, &p->file.name))
		return 503;
	if (p->is_file && (!keep(p, head->filename, &p->file.filename) ||
				  !keep(p, head->type, &p->file.type)))
		return 503;
	if (p->gathered.cap > SHORT_FILE_MOST)
		crew__buf_release(&p->gathered);
	p->gathered.max = p->is_file ? SHORT_FILE_MOST
				     : (uint32_t)crew__min(p->worker->max_message, INT32_MAX);
	return 0;
}

static int flush(struct crew__parts *p)
{
	int error = crew__upload_write(
		p->worker, p->file.fd, (crew_bytes){ p->gathered.data, p->gathered.len });
	p->gathered.len = 0;
	return error ? crew__upload_status(error) : 0;
}

static int take_long(struct crew__parts *p, crew_bytes data)
{
	if (p->file.fd < 0) {
		int fd = crew__upload_open(p->worker);
		if (fd < 0)
			return crew__upload_status(fd);
		p->file.fd = fd;
	}
	int status = 0;
	if (p->gathered.len + data.len > SHORT_FILE_MOST || data.len >= WRITE_LEAST)
		status = flush(p);
	if (status != 0 || data.len < WRITE_LEAST)
		return status ? status : gather(p, data);
	int error = crew__upload_write(p->worker, p->file.fd, data);
	return error ? crew__upload_status(error) : 0;
}

static int take_data(struct crew__parts *p, crew_bytes data)
{
	if (!p->is_file)
		return may_hold(p, data.len) ? gather(p, data) : 413;
	p->file.size += data.len;
	bool is_short = p->file.fd < 0 && p->file.size <= SHORT_FILE_MOST &&
			p->file.size <= SHORT_FILES_MOST - p->small;
	return is_short ? gather(p, data) : take_long(p, data);
}

static int end_field(struct crew__parts *p)
{
	crew_header field = { .name = p->file.name };
	crew_header *fields = crew__arena_grow(
		&p->side->arena, p->fields, &p->field_room, p->field_count + 1, sizeof(*fields));
	if (!fields || !keep(p, (crew_bytes){ p->gathered.data, p->gathered.len }, &field.value))
		return 503;
	p->fields = fields;
	fields[p->field_count++] = field;
	return 0;
}

static int finish_file(struct crew__parts *p)
{
	if (p->file.fd < 0) {
		p->small += p->gathered.len;
		return keep(p, (crew_bytes){ p->gathered.data, p->gathered.len }, &p->file.body)
			       ? 0
			       : 503;
	}
	int status = flush(p);
	p->file.body = (crew_bytes){ "", 0 };
	return status == 0 && lseek(p->file.fd, 0, SEEK_SET) < 0 ? 500 : status;
}

static int end_file(struct crew__parts *p)
{
	struct crew__request_side *side = p->side;
	if (p->file.filename.len == 0 && p->file.size == 0)
		return 0; /* a browser's field in which no file was chosen */
	int status = finish_file(p);
	if (status != 0)
		return status;
	crew_upload *all = crew__arena_grow(
		&side->arena, side->uploads, &p->upload_room, side->upload_count + 1, sizeof(*all));
	if (!all)
		return 503;
	side->uploads = all;
	all[side->upload_count++] = p->file;
	p->file.fd = -1; /* it is the side's */
	return 0;
}

static int end_part(struct crew__parts *p)
{
	int status = p->is_file ? end_file(p) : end_field(p);
	p->gathered.len = 0;
	return status;
}

/* ---- the form ------------------------------------------------------------------------------- */

bool crew__parts_wanted(const crew_request *request)
{
	return crew__multipart_is(crew_request_header(request, "content-type"));
}

/* Whoever looks at the other one would read another form. */
static bool says_type_once(const crew_request *request)
{
	unsigned count = 0;
	for (size_t i = 0; i < request->header_count; i++)
		count += crew__http_same(request->headers[i].name, CREW_BYTES("content-type"));
	return count == 1;
}

int crew__parts_begin(struct crew__exchange *e, const crew_request *request)
{
	crew_bytes boundary;
	crew_bytes type = crew_request_header(request, "content-type");
	if (!says_type_once(request) || crew__multipart_boundary(type, &boundary) < 0)
		return 400;
	struct crew__parts *p = calloc(1, sizeof(*p));
	if (!p)
		return 503;
	p->worker = crew__worker_of(e->conn);
	p->side = &e->kept->side;
	p->file.fd = -1;
	crew__multipart_init(&p->form, boundary);
	crew__buf_init(&p->gathered, SHORT_FILE_MOST);
	e->parts = p;
	return 0;
}

static int take_event(struct crew__parts *p, enum crew__multipart_event event, crew_bytes data)
{
	switch (event) {
	case CREW__MULTIPART_PART:
		return begin_part(p);
	case CREW__MULTIPART_DATA:
		return take_data(p, data);
	case CREW__MULTIPART_PART_END:
		return end_part(p);
	case CREW__MULTIPART_BAD:
		return 400;
	case CREW__MULTIPART_TOO_LARGE:
		return 413;
	case CREW__MULTIPART_NO_MEMORY:
		return 503;
	default:
		return 0;
	}
}

int crew__parts_take(struct crew__exchange *e, crew_bytes bytes)
{
	struct crew__parts *p = e->parts;
	crew_bytes data = { NULL, 0 };
	enum crew__multipart_event event = CREW__MULTIPART_END;
	while (p->status == 0 && event != CREW__MULTIPART_MORE) {
		event = crew__multipart_next(&p->form, &bytes, &data);
		p->status = take_event(p, event, data);
	}
	return p->status;
}

int crew__parts_end(struct crew__exchange *e)
{
	struct crew__parts *p = e->parts;
	if (p->status == 0 && !crew__multipart_ended(&p->form))
		p->status = 400;
	if (p->status != 0)
		return p->status;
	p->side->forms = (struct crew__pairs){ p->fields, p->field_count, true };
	e->parts = NULL;
	crew__parts_free(p);
	return 0;
}

void crew__parts_free(struct crew__parts *p)
{
	if (!p)
		return;
	if (p->file.fd >= 0)
		crew__upload_close(p->file.fd);
	crew__multipart_fini(&p->form);
	crew__buf_release(&p->gathered);
	free(p);
}
