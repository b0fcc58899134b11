/* watch.c - looking whether the program's file or its settings have become others. */
#include "proc/watch.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PROGRAM,
	CONFIG
};

enum {
	SETTLE_MS = 200,
	AGAIN_MS = 1000, /* when it could not be watched */
	LINKS_MOST = 40  /* as many as the kernel follows */
};

/* No IN_MODIFY: a log in the same directory would wake us with every line. Who writes into a file
 * closes it at the end. */
#define EVENTS                                                                              \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB | \
		IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* ---- which directories --------------------------------------------------------------------- */

struct found {
	int fd;
	int directories[CREW__WATCH_DIRECTORIES];
	unsigned count;
};

static void add_directory(struct found *found, const char *path)
{
	int directory = inotify_add_watch(found->fd, *path ? path : "/", EVENTS);
	for (unsigned i = 0; i < found->count; i++)
		if (found->directories[i] == directory)
			return;
	if (directory >= 0 && found->count < CREW__WATCH_DIRECTORIES)
		found->directories[found->count++] = directory;
}

/* The rest of a path, from where a link leads. False: it leads nowhere that has a name. */
static bool follow(const char *directory, const char *link, const char *rest, char path[PATH_MAX])
{
	char target[PATH_MAX];
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	if (length <= 0)
		return false;
	target[length] = '\0';
	int size = snprintf(path, PATH_MAX, "%s%s%s%s", target[0] == '/' ? "" : directory,
		target[0] == '/' ? "" : "/", target, rest);
	return size > 0 && size < PATH_MAX;
}

/* Go down the path as the kernel does. Every directory in which a link stands counts, and the last
 * one: that of the file, or where its path comes to an end for now. 0: it has; else go on with
 * `path`. */
static bool walk(struct found *found, char path[PATH_MAX])
{
	char at[PATH_MAX] = "", directory[PATH_MAX] = "", next[PATH_MAX];
	const char *rest = path;
	while (*(rest += strspn(rest, "/"))) {
		struct stat st;
		size_t length = strcspn(rest, "/"), before = strlen(at);
		memcpy(directory, at, before + 1);
		if (before + 1 + length >= sizeof(at))
			return false;
		at[before] = '/';
		memcpy(at + before + 1, rest, length);
		at[before + 1 + length] = '\0';
		rest += length;
		if (lstat(at, &st) == 0 && S_ISDIR(st.st_mode))
			continue;
		add_directory(found, directory);
		if (lstat(at, &st) < 0 || !S_ISLNK(st.st_mode) ||
			!follow(directory, at, rest, next))
			return false;
		memcpy(path, next, sizeof(next));
		return true;
	}
	return false;
}

static void add_path(struct found *found, const char *path)
{
	char left[PATH_MAX];
	size_t size = strlen(path) + 1;
	if (size > sizeof(left))
		return;
	memcpy(left, path, size);
	for (int i = 0; i < LINKS_MOST && walk(found, left); i++)
		;
}

/* What is watched already stays so under its number; what has become of no interest goes. */
static void arm(struct crew__watch *watch)
{
	struct found found = { .fd = watch->source.fd };
	add_path(&found, watch->launch->path);
	if (watch->config)
		add_path(&found, watch->config);
	for (unsigned i = 0; i < watch->directory_count; i++) {
		bool still = false;
		for (unsigned k = 0; k < found.count; k++)
			still = still || found.directories[k] == watch->directories[i];
		if (!still) /* or it is gone, and its watch with it */
			inotify_rm_watch(found.fd, watch->directories[i]);
	}
	memcpy(watch->directories, found.directories, sizeof(watch->directories));
	watch->directory_count = found.count;
}

/* ---- looking ------------------------------------------------------------------------------- */

static struct crew__watched look_at(const char *path)
{
	struct stat st;
	if (!path || stat(path, &st) < 0)
		return (struct crew__watched){ .inode = 0 };
	return (struct crew__watched){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = (uint64_t)st.st_size,
		.written = st.st_mtim,
		.changed = st.st_ctim,
	};
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct crew__watched *a, const struct crew__watched *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       is_same_time(&a->written, &b->written) && is_same_time(&a->changed, &b->changed);
}

static bool are_same(const struct crew__watched a[2], const struct crew__watched b[2])
{
	return is_same(&a[PROGRAM], &b[PROGRAM]) && is_same(&a[CONFIG], &b[CONFIG]);
}

static void look(const struct crew__watch *watch, struct crew__watched ret_now[2])
{
	ret_now[PROGRAM] = look_at(watch->launch->path);
	ret_now[CONFIG] = look_at(watch->config);
}

static void look_later(struct crew__watch *watch, uint64_t ms)
{
	uint64_t due = crew__clock_ns() + ms * CREW__NS_PER_MS;
	if (watch->settle.place == 0 && crew__timer_start(watch->loop, &watch->settle, due) < 0)
		crew__log(CREW_ERROR, "--watch: no memory for a timer; the change is overlooked");
}

static bool is_whole(struct crew__watch *watch)
{
	char why[1024];
	int fd = crew__launch_open_program(watch->launch, why, sizeof(why));
	if (fd >= 0) {
		close(fd);
		watch->told_partial = false;
		return true;
	}
	if (!watch->told_partial)
		crew__log(CREW_INFO, "--watch: waiting for the program: %s", why);
	watch->told_partial = true;
	return false;
}

static void take(struct crew__watch *watch)
{
	bool program = !is_same(&watch->seen[PROGRAM], &watch->taken[PROGRAM]);
	if (program && !is_whole(watch))
		return; /* what makes it whole will be told */
	crew__log(CREW_INFO, "--watch: %s has changed: reload",
		program ? watch->launch->path : watch->config);
	if (watch->reload(watch->arg) == -EBUSY) {
		look_later(watch, SETTLE_MS);
		return;
	}
	memcpy(watch->taken, watch->seen, sizeof(watch->taken));
}

static void on_settled(struct crew__timer *timer)
{
	struct crew__watch *watch = crew__container_of(timer, struct crew__watch, settle);
	struct crew__watched now[2];
	arm(watch); /* before the look: nothing can happen between the two unnoticed */
	look(watch, now);
	bool still = are_same(now, watch->seen);
	memcpy(watch->seen, now, sizeof(now));
	if (watch->directory_count == 0)
		look_later(watch, AGAIN_MS);
	else if (!still)
		look_later(watch, SETTLE_MS);
	else if (!are_same(now, watch->taken))
		take(watch);
}

/* What exactly does not matter, nor whether the queue of events overflowed: it is time to look. */
static void on_events(struct crew__source *source, unsigned events)
{
	char room[4096];
	struct crew__watch *watch = crew__container_of(source, struct crew__watch, source);
	(void)events;
	while (read(source->fd, room, sizeof(room)) > 0)
		;
	look_later(watch, SETTLE_MS);
}

/* ---- beginning and end --------------------------------------------------------------------- */

int crew__watch_want(struct crew__watch *watch, const char *config)
{
	char *absolute = NULL, *cwd = NULL;
	watch->on = true;
	if (!config)
		return 0;
	if (config[0] == '/')
		absolute = strdup(config);
	else if ((cwd = getcwd(NULL, 0)) && asprintf(&absolute, "%s/%s", cwd, config) < 0)
		absolute = NULL;
	free(cwd);
	watch->config = absolute;
	return absolute ? 0 : -ENOMEM;
}

int crew__watch_start(struct crew__watch *watch, struct crew__loop *loop,
	const struct crew__launch *launch, int (*reload)(void *arg), void *arg)
{
	if (!watch->on)
		return 0;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return -errno;
	watch->loop = loop;
	watch->launch = launch;
	watch->reload = reload;
	watch->arg = arg;
	watch->settle.fn = on_settled;
	watch->source = (struct crew__source){ .fn = on_events, .fd = fd };
	int status = crew__loop_add(loop, &watch->source, CREW__READ);
	if (status < 0) {
		close(fd);
		watch->source.fd = -1;
		return status;
	}
	arm(watch);
	look(watch, watch->seen);
	if (!watch->resumed)
		memcpy(watch->taken, watch->seen, sizeof(watch->taken));
	if (watch->directory_count == 0)
		look_later(watch, AGAIN_MS);
	else if (!are_same(watch->seen, watch->taken))
		look_later(watch, SETTLE_MS);
	return 0;
}

void crew__watch_stop(struct crew__watch *watch)
{
	int fd = watch->source.fd;
	if (watch->loop && fd >= 0) {
		crew__timer_stop(watch->loop, &watch->settle);
		crew__loop_remove(watch->loop, &watch->source);
		close(fd);
	}
	free(watch->config);
	*watch = (struct crew__watch){ .source = { .fd = -1 } };
}

static json_t *pack_file(const struct crew__watched *file)
{
	return json_pack("[IIIIIII]", (json_int_t)file->device, (json_int_t)file->inode,
		(json_int_t)file->size, (json_int_t)file->written.tv_sec,
		(json_int_t)file->written.tv_nsec, (json_int_t)file->changed.tv_sec,
		(json_int_t)file->changed.tv_nsec);
}

int crew__watch_save(const struct crew__watch *watch, json_t *into)
{
	if (!watch->on)
		return 0;
	json_t *config = watch->config ? json_string(watch->config) : json_null();
	json_t *taken = json_array();
	for (size_t i = 0; i < crew__lengthof(watch->taken); i++)
		json_array_append_new(taken, pack_file(&watch->taken[i]));
	int failed = json_object_set_new(into, "watch", config);
	failed |= json_object_set_new(into, "taken", taken);
	return failed ? -ENOMEM : 0;
}

static bool unpack_file(json_t *from, struct crew__watched *ret_file)
{
	json_int_t numbers[7];
	if (json_unpack(from, "[IIIIIII]", &numbers[0], &numbers[1], &numbers[2], &numbers[3],
		    &numbers[4], &numbers[5], &numbers[6]) < 0)
		return false;
	*ret_file = (struct crew__watched){
		.device = (uint64_t)numbers[0],
		.inode = (uint64_t)numbers[1],
		.size = (uint64_t)numbers[2],
		.written = { (time_t)numbers[3], (long)numbers[4] },
		.changed = { (time_t)numbers[5], (long)numbers[6] },
	};
	return true;
}

int crew__watch_restore(struct crew__watch *watch, const json_t *from)
{
	const json_t *config = json_object_get(from, "watch");
	const json_t *taken = json_object_get(from, "taken");
	watch->resumed = true;
	for (size_t i = 0; i < crew__lengthof(watch->taken); i++)
		watch->resumed = watch->resumed &&
				 unpack_file(json_array_get(taken, i), &watch->taken[i]);
	return config ? crew__watch_want(watch, json_string_value(config)) : 0;
}
