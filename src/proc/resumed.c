/* resumed.c - the process of a master that has executed itself anew, from exec to its end.
 *
 * The same way is gone by a rehearsal, which stops before anything is done. */
#include "proc/run.h"

#include "proc/role.h"
#include "proc/testament.h"
#include "proc/title.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SETTINGS_MOST = 16 << 20,
	LOG_END_MS = 1000
};

struct resumed {
	const crew_app *app;
	bool rehearsal;
	int testament_fd;
	json_t *testament;
	struct crew__settings *settings;
	struct crew__pidfile pidfile;
	struct crew__notify notify;
	struct crew__fd_store fd_store;
	struct crew__master master;
	char error[1024];
};

static int64_t number(const json_t *from, const char *key)
{
	return json_integer_value(json_object_get(from, key));
}

/* Settings are those of the generation, which the workers have as well. */
static bool read_settings(struct resumed *resumed)
{
	const json_t *generation = json_object_get(resumed->testament, "generation");
	int fd = (int)number(generation, "settings_fd");
	struct stat st;
	char *text = NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= SETTINGS_MOST)
		text = calloc(1, (size_t)st.st_size + 1);
	bool good = text && pread(fd, text, (size_t)st.st_size, 0) == st.st_size;
	if (!good)
		snprintf(resumed->error, sizeof(resumed->error), "its settings cannot be read");
	good = good && crew__settings_parse(resumed->app, text, &resumed->settings, resumed->error,
			       sizeof(resumed->error)) == 0;
	free(text);
	if (good)
		crew__settings_use(resumed->settings);
	return good;
}

static char *copy_text(const json_t *from, const char *key)
{
	const char *text = json_string_value(json_object_get(from, key));
	return text ? strdup(text) : NULL;
}

/* How it was started is how this image was; but for what its name and directory are. */
static bool restore_surroundings(struct resumed *resumed, int argc, char **argv)
{
	const json_t *from = resumed->testament;
	struct crew__master *master = &resumed->master;
	if (crew__launch_init(&master->launch, argc, argv) < 0)
		return false;
	free(master->launch.path);
	if (master->launch.cwd_fd >= 0)
		close(master->launch.cwd_fd);
	master->launch.path = copy_text(from, "path");
	master->launch.cwd_fd = (int)number(from, "cwd_fd");
	crew__log_file_restore(&master->log, json_object_get(from, "log"));
	resumed->pidfile = (struct crew__pidfile){
		.fd = (int)number(from, "pidfile_fd"),
		.path = copy_text(from, "pidfile"),
	};
	master->pidfile = &resumed->pidfile;
	const char *mode = json_string_value(json_object_get(from, "mode"));
	master->mode = mode && strcmp(mode, "daemon") == 0 ? "daemon" : "foreground";
	return master->launch.path && resumed->pidfile.path;
}

static bool restore(struct resumed *resumed, int argc, char **argv)
{
	resumed->testament = crew__testament_read(
		resumed->testament_fd, resumed->error, sizeof(resumed->error));
	if (!resumed->testament || !read_settings(resumed))
		return false;
	snprintf(resumed->error, sizeof(resumed->error),
		"how the running master was started cannot be told");
	return restore_surroundings(resumed, argc, argv) &&
	       crew__testament_restore(&resumed->master, resumed->settings, resumed->testament,
		       resumed->error, sizeof(resumed->error));
}

static _Noreturn void end_rehearsal(const struct resumed *resumed, bool good)
{
	if (ftruncate(resumed->testament_fd, 0) == 0 && !good) {
		ssize_t written = pwrite(
			resumed->testament_fd, resumed->error, strlen(resumed->error), 0);
		(void)written; /* then it says nothing, which is told as well */
	}
	_exit(good ? 0 : 1);
}

/* The manager hears of it, so a rehearsal does not come here. */
static void restore_manager(struct resumed *resumed)
{
	const json_t *manager = json_object_get(resumed->testament, "manager");
	struct crew__master *master = &resumed->master;
	size_t i;
	json_t *name;
	crew__herald_begin(&master->herald, &resumed->notify, master->loop, master->registry);
	crew__herald_restore(&master->herald, manager);
	crew__fd_store_begin(&resumed->fd_store, &resumed->notify, resumed->settings->fd_store);
	json_array_foreach(json_object_get(manager, "stored"), i, name)
	{
		if (json_is_string(name))
			crew__fd_store_found(&resumed->fd_store, json_string_value(name));
	}
}

static int go_on(struct resumed *resumed)
{
	struct crew__master *master = &resumed->master;
	crew__title_set("%s: master", resumed->settings->name);
	crew__log_file_use(&master->log, resumed->settings, "master");
	crew__log_thread_allow();
	restore_manager(resumed);
	json_decref(resumed->testament);
	int exit_status = crew__master_go_on(master);
	crew__master_fini(master);
	crew__log(CREW_INFO, "%s has stopped", resumed->settings->name);
	crew__log_thread_end(LOG_END_MS);
	crew__log_file_close(&master->log);
	crew__pidfile_remove(&resumed->pidfile);
	crew__launch_fini(&master->launch);
	crew__fd_store_end(&resumed->fd_store);
	crew__notify_fini(&resumed->notify);
	crew__settings_use(NULL);
	crew__settings_free(resumed->settings);
	return exit_status;
}

static int run(struct resumed *resumed, int argc, char **argv)
{
	bool good = restore(resumed, argc, argv);
	if (resumed->rehearsal)
		end_rehearsal(resumed, good);
	close(resumed->testament_fd);
	if (good)
		return go_on(resumed);
	/* What was rehearsed has failed: there is nothing to go on with. The workers end by
	 * themselves. */
	crew__log_open(resumed->master.log.fd, CREW_INFO, "master");
	crew__log(CREW_ERROR, "the master ends, its new program cannot go on: %s", resumed->error);
	return 1;
}

bool crew__run_resumed(const crew_app *app, int argc, char **argv, int *ret_status)
{
	char *room = environ[0]; /* where the variable stands */
	int fd;
	pid_t master;
	if (!crew__role_take(CREW__MASTER_VARIABLE, &fd, &master) ||
		(master != getpid() && master != getppid()))
		return false;
	struct resumed *resumed = calloc(1, sizeof(*resumed));
	/* What was left open for us is for nobody else. */
	if (!resumed || close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
		*ret_status = 1;
		free(resumed);
		return true;
	}
	resumed->app = app;
	resumed->rehearsal = master != getpid();
	crew__title_init(argc, argv, room);
	resumed->testament_fd = fd;
	resumed->pidfile.fd = -1;
	resumed->master.log.fd = STDERR_FILENO;
	crew__notify_init(&resumed->notify);
	resumed->master.notify = &resumed->notify;
	resumed->master.fd_store = &resumed->fd_store;
	*ret_status = run(resumed, argc, argv);
	free(resumed);
	return true;
}
