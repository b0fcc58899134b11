/* fetch_upload.c - the body of a request, as libcurl asks for it: from memory, a file or the
 * program.
 *
 * A body whose length was told must have that length: one that ends early would leave the server
 * waiting, so the request is given up instead. */
#include "service/fetch_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t from_memory(struct crew__fetch_request *request, char *room, size_t size)
{
	size_t left = (size_t)(request->size - request->sent);
	size_t len = crew__min(size, left);
	memcpy(room, request->body + request->sent, len);
	return (int64_t)len;
}

/* At a place of our own, so that the body can begin anew. */
static int64_t from_file(struct crew__fetch *fetch, char *room, size_t size)
{
	struct crew__fetch_request *request = &fetch->request;
	size_t left = (size_t)(request->size - request->sent);
	if (left == 0)
		return 0;
	ssize_t len = pread(request->file, room, crew__min(size, left), request->sent);
	if (len < 0)
		crew__fetch_over(fetch, -EIO, "cannot read the file to send: %s", strerror(errno));
	else if (len == 0)
		crew__fetch_over(fetch, -EIO, "the file to send became shorter meanwhile");
	return len > 0 ? len : -EIO;
}

static int64_t from_program(struct crew__fetch *fetch, char *room, size_t size)
{
	struct crew__fetch_request *request = &fetch->request;
	if (request->size >= 0) {
		uint64_t left = (uint64_t)(request->size - request->sent);
		if (left == 0)
			return 0;
		size = left < size ? (size_t)left : size;
	}
	crew_worker *w = fetch->owner->worker;
	struct crew__entered before = crew__enter(w, CREW__CB_FETCH);
	int64_t len = fetch->on_upload(fetch->id, room, size, fetch->arg);
	crew__leave(w, before);
	if (len == -EAGAIN)
		return len;
	if (len < 0)
		crew__fetch_over(fetch, -ECANCELED, "on_upload gave up (%lld)", (long long)len);
	else if ((uint64_t)len > size)
		crew__fetch_over(
			fetch, -EINVAL, "on_upload told of more bytes than it had room for");
	else if (len == 0 && request->size >= 0)
		crew__fetch_over(fetch, -EINVAL, "on_upload ended before upload_size");
	return len;
}

size_t crew__fetch_on_read(char *room, size_t size, size_t count, void *arg)
{
	struct crew__fetch *fetch = arg;
	struct crew__fetch_request *request = &fetch->request;
	int64_t len = 0;
	if (fetch->state != CREW__FETCH_CARRIED)
		return CURL_READFUNC_ABORT;
	if (request->source == CREW__FROM_MEMORY)
		len = from_memory(request, room, size * count);
	else if (request->source == CREW__FROM_FILE)
		len = from_file(fetch, room, size * count);
	else if (request->source == CREW__FROM_PROGRAM)
		len = from_program(fetch, room, size * count);
	if (fetch->state != CREW__FETCH_CARRIED)
		return CURL_READFUNC_ABORT;
	if (len < 0) { /* -EAGAIN: all else has ended the fetch */
		fetch->paused = true;
		return CURL_READFUNC_PAUSE;
	}
	request->sent += len;
	return (size_t)len;
}

/* libcurl begins anew when a kept connection turns out to have ended. */
int crew__fetch_on_seek(void *arg, curl_off_t offset, int origin)
{
	struct crew__fetch *fetch = arg;
	bool done = offset == 0 && origin == SEEK_SET && crew__fetch_rewind(&fetch->request);
	return done ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}
