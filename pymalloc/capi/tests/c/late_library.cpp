// Loaded by late_cxx.c.
#include <cstddef>
#include <new>

extern "C" int catches_bad_alloc(size_t size) {
    try {
        operator delete(operator new(size));
        return 0;
    } catch (const std::bad_alloc &) {
        return 1;
    }
}
