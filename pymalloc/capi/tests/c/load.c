/* Modules with thread-local memory, loaded while there are threads: the loader allocates for
 * them at their first touch, from the program's malloc. */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>

enum { THREADS = 3 };
static const char *path;
static pthread_barrier_t loaded, touched;
static void *(*touch)(int);

static void *use_module(void *number) {
    for (int round = 0; round < 20; round++) {
        pthread_barrier_wait(&loaded);
        void *copy = touch((int)(uintptr_t)number);
        CHECK(all_are(copy, (int)(uintptr_t)number, 5000));
        CHECK(!ours() || pymalloc_owns(copy));
        free(copy);
        pthread_barrier_wait(&touched);
    }
    return NULL;
}

int main(int count, char **arguments) {
    check_whose();
    CHECK(count == 2);
    path = arguments[1];
    pthread_barrier_init(&loaded, NULL, THREADS + 1);
    pthread_barrier_init(&touched, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use_module, (void *)(uintptr_t)(i + 1)) == 0);
    for (int round = 0; round < 20; round++) {
        void *module = dlopen(path, RTLD_NOW);
        CHECK(module != NULL);
        *(void **)&touch = dlsym(module, "touch");
        CHECK(touch != NULL);
        CHECK(dlsym(module, "no such name") == NULL && dlerror() != NULL);
        pthread_barrier_wait(&loaded);
        pthread_barrier_wait(&touched);
        CHECK(dlclose(module) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    done();
}
