/* tls_files.c - reading the files of TLS without looking into them, and handing them on.
 *
 * The memory: a header, then for each file one entry and behind it the path and the bytes. Keys are
 * read straight into it, so that no copy stays in a heap; they may be read by those who have it. */
#include "service/tls_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x736c7463u /* "ctls" */

enum {
	FILE_MOST = 16 << 20,
	ALL_MOST = 1 << 30,
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL
};

enum part {
	PART_CERT,
	PART_KEY,
	PART_OCSP,
	PART_CLIENT_CA,
	PARTS
};

struct header {
	uint32_t magic, entries;
};

struct entry {
	uint32_t part, place;
	uint32_t path_size; /* with its NUL */
	uint32_t size;
};

/* ---- lists --------------------------------------------------------------------------------- */

bool crew__tls_next_path(const char **list, char word[CREW__TLS_PATH_MOST])
{
	const char *at = *list + strspn(*list, " \t");
	size_t length = strcspn(at, " \t");
	if (length == 0 || length >= CREW__TLS_PATH_MOST)
		return false;
	memcpy(word, at, length);
	word[length] = '\0';
	*list = at + length;
	return true;
}

size_t crew__tls_count_paths(const char *list)
{
	char word[CREW__TLS_PATH_MOST];
	size_t count = 0;
	while (list && crew__tls_next_path(&list, word))
		count++;
	return count;
}

/* Call `fn` for each file; the first that is not 0 ends it. */
static int for_files(const struct crew__service_settings *settings,
	int (*fn)(void *arg, enum part part, uint32_t place, const char *path), void *arg)
{
	const char *lists[PARTS] = {
		[PART_CERT] = settings->tls_cert,
		[PART_KEY] = settings->tls_key,
		[PART_OCSP] = settings->tls_ocsp,
	};
	char path[CREW__TLS_PATH_MOST];
	int status = 0;
	for (enum part part = PART_CERT; part < PART_CLIENT_CA; part++) {
		const char *list = lists[part] ? lists[part] : "";
		for (uint32_t place = 0; !status && crew__tls_next_path(&list, path); place++)
			if (strcmp(path, "-") != 0)
				status = fn(arg, part, place, path);
	}
	if (!status && settings->tls_client_ca)
		status = fn(arg, PART_CLIENT_CA, 0, settings->tls_client_ca);
	return status;
}

/* ---- have they changed? -------------------------------------------------------------------- */

static uint64_t mix(uint64_t sum, uint64_t value)
{
	/* FNV-1a by words: nobody who could choose the values gains by it. */
	return (sum ^ value) * UINT64_C(0x100000001b3) + (sum >> 31);
}

static int stamp_file(void *arg, enum part part, uint32_t place, const char *path)
{
	uint64_t *sum = arg;
	struct stat st;
	(void)part;
	(void)place;
	if (stat(path, &st) < 0) {
		*sum = mix(*sum, (uint64_t)errno);
		return 0;
	}
	const uint64_t values[] = { (uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
		(uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
		(uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec };
	for (size_t i = 0; i < crew__lengthof(values); i++)
		*sum = mix(*sum, values[i]);
	return 0;
}

uint64_t crew__tls_files_stamp(const struct crew__service_settings *settings)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	for_files(settings, stamp_file, &sum);
	return sum;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct reading {
	int memory;
	size_t size; /* of what has been written */
	uint32_t entries;
	char *error;
	size_t error_size;
};

static int refuse(struct reading *reading, const char *path, int status, const char *what_to_do)
{
	snprintf(reading->error, reading->error_size, "cannot read %s: %s; %s", path,
		status == -EISDIR   ? "this is no plain file"
		: status == -EFBIG  ? "it is longer than any certificate"
		: status == -ESTALE ? "it changed while it was read"
				    : strerror(-status),
		what_to_do);
	return status;
}

static int append(struct reading *reading, const void *data, size_t size)
{
	const char *at = data;
	while (size > 0) {
		ssize_t written = pwrite(reading->memory, at, size, (off_t)reading->size);
		if (written < 0)
			return -errno;
		at += written;
		size -= (size_t)written;
		reading->size += (size_t)written;
	}
	return 0;
}

static int append_file(struct reading *reading, int fd, size_t size)
{
	char rest;
	while (size > 0) {
		char piece[4096];
		ssize_t got = read(fd, piece, crew__min(size, sizeof(piece)));
		int status = got < 0 ? -errno : got == 0 ? -ESTALE : 0;
		if (status == 0)
			status = append(reading, piece, (size_t)got);
		explicit_bzero(piece, sizeof(piece));
		if (status < 0)
			return status;
		size -= (size_t)got;
	}
	return read(fd, &rest, 1) == 0 ? 0 : -ESTALE;
}

static int read_open(struct reading *reading, int fd, struct entry *entry, const char *path)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	if (st.st_size > FILE_MOST || reading->size > ALL_MOST)
		return -EFBIG;
	entry->size = (uint32_t)st.st_size;
	entry->path_size = (uint32_t)strlen(path) + 1;
	int status = append(reading, entry, sizeof(*entry));
	if (status == 0)
		status = append(reading, path, entry->path_size);
	return status < 0 ? status : append_file(reading, fd, entry->size);
}

static int read_file(void *arg, enum part part, uint32_t place, const char *path)
{
	struct reading *reading = arg;
	struct entry entry = { .part = part, .place = place };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return refuse(reading, path, -errno,
			"write it there, where the user that starts the program may read it");
	int status = read_open(reading, fd, &entry, path);
	close(fd);
	if (status < 0)
		return refuse(reading, path, status, "write it there as a plain file, whole");
	reading->entries++;
	return 0;
}

static int finish(struct reading *reading)
{
	const struct header header = { .magic = MAGIC, .entries = reading->entries };
	if (pwrite(reading->memory, &header, sizeof(header), 0) != sizeof(header))
		return -errno;
	return fcntl(reading->memory, F_ADD_SEALS, SEALS) < 0 ? -errno : 0;
}

int crew__tls_files_read(const struct crew__service_settings *settings, int *ret_fd,
	char *ret_error, size_t error_size)
{
	struct reading reading = {
		.memory = memfd_create("crew-tls", MFD_CLOEXEC | MFD_ALLOW_SEALING),
		.size = sizeof(struct header),
		.error = ret_error,
		.error_size = error_size,
	};
	if (reading.memory < 0) {
		int error = -errno;
		snprintf(ret_error, error_size, "no memory for certificates: %s", strerror(-error));
		return error;
	}
	int status = for_files(settings, read_file, &reading);
	if (status == 0) {
		status = finish(&reading);
		if (status < 0)
			snprintf(ret_error, error_size, "no memory for certificates: %s",
				strerror(-status));
	}
	if (status < 0)
		close(reading.memory);
	else
		*ret_fd = reading.memory;
	return status;
}

/* ---- taking apart -------------------------------------------------------------------------- */

struct cursor {
	const char *at;
	size_t left;
};

static const char *take(struct cursor *cursor, size_t size)
{
	const char *at = cursor->at;
	if (size > cursor->left)
		return NULL;
	cursor->at += size;
	cursor->left -= size;
	return at;
}

static int put(struct crew__tls_files *files, const struct entry *entry, const char *path,
	crew_bytes bytes)
{
	if (entry->part == PART_CLIENT_CA) {
		files->client_ca = bytes;
		files->client_ca_name = path;
		return 0;
	}
	/* Certificates come first, and in order. */
	if (entry->part == PART_CERT) {
		if (entry->place != files->count || entry->place >= CREW__TLS_PAIRS_MOST)
			return -EPROTO;
		struct crew__tls_pair *pairs = reallocarray(
			files->pairs, files->count + 1, sizeof(*pairs));
		if (!pairs)
			return -ENOMEM;
		files->pairs = pairs;
		pairs[files->count++] = (struct crew__tls_pair){ .name = path, .cert = bytes };
		return 0;
	}
	if (entry->place >= files->count || entry->part > PART_OCSP)
		return -EPROTO;
	struct crew__tls_pair *pair = &files->pairs[entry->place];
	if (entry->part == PART_KEY) {
		pair->key = bytes;
		pair->key_name = path;
	} else {
		pair->ocsp = bytes;
		pair->ocsp_name = path;
	}
	return 0;
}

static int take_entry(struct crew__tls_files *files, struct cursor *cursor)
{
	struct entry entry;
	const char *head = take(cursor, sizeof(entry));
	if (!head)
		return -EPROTO;
	memcpy(&entry, head, sizeof(entry));
	const char *path = take(cursor, entry.path_size);
	const char *data = take(cursor, entry.size);
	if (!path || !data || entry.path_size == 0 || path[entry.path_size - 1] != '\0')
		return -EPROTO;
	return put(files, &entry, path, (crew_bytes){ data, entry.size });
}

static int take_all(struct crew__tls_files *files)
{
	struct cursor cursor = { files->memory, files->size };
	struct header header;
	const char *head = take(&cursor, sizeof(header));
	if (!head)
		return -EPROTO;
	memcpy(&header, head, sizeof(header));
	if (header.magic != MAGIC)
		return -EPROTO;
	int status = 0;
	for (uint32_t i = 0; status == 0 && i < header.entries; i++)
		status = take_entry(files, &cursor);
	return status == 0 && (cursor.left > 0 || files->count == 0) ? -EPROTO : status;
}

int crew__tls_files_open(int fd, struct crew__tls_files *ret_files)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (fstat(fd, &st) < 0)
		return -errno;
	/* What could still change would have to be copied first. */
	if (seals < 0 || (seals & SEALS) != SEALS || st.st_size <= 0)
		return -EPROTO;
	struct crew__tls_files files = { .size = (size_t)st.st_size };
	files.memory = mmap(NULL, files.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (files.memory == MAP_FAILED)
		return -errno;
	int status = take_all(&files);
	if (status < 0)
		crew__tls_files_fini(&files);
	else
		*ret_files = files;
	return status;
}

void crew__tls_files_fini(struct crew__tls_files *files)
{
	free(files->pairs);
	if (files->memory)
		munmap(files->memory, files->size);
	*files = (struct crew__tls_files){ .memory = NULL };
}
