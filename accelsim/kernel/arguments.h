// Python arguments, read one after another and checked: a wrong one is an exception, and no kernel sees memory that is not there.
#pragma once
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000  // one binary serves Python 3.11 and later
#endif
#include <Python.h>

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <string>

namespace accelsim {

struct Interrupted {};   // a signal's handler has raised
struct PythonError {};   // Python's error indicator is set

// Let the interpreter look at signals; called without its lock.
inline void check_interrupt() {
    const PyGILState_STATE state = PyGILState_Ensure();
    const bool raised = PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    if (raised) throw Interrupted{};
}

inline void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

template <typename T>
struct Array {
    T* data;
    int64_t size;

    T* of(int64_t expected, const char* name) const {
        if (data && size != expected)
            throw std::invalid_argument(std::string(name) + " has " + std::to_string(size) + " elements, expected " + std::to_string(expected));
        return data;
    }
};

class Arguments {
public:
    explicit Arguments(PyObject* tuple) : tuple_(tuple) {}
    ~Arguments() {
        for (Py_buffer& buffer : buffers_) PyBuffer_Release(&buffer);
    }
    Arguments(const Arguments&) = delete;
    Arguments& operator=(const Arguments&) = delete;

    // A contiguous array, held until the call ends; with `T` not const it must be writable. None becomes null.
    template <typename T>
    Array<T> array() {
        PyObject* given = next();
        if (given == Py_None) return {nullptr, 0};
        Py_buffer buffer;
        if (PyObject_GetBuffer(given, &buffer, std::is_const_v<T> ? PyBUF_SIMPLE : PyBUF_WRITABLE)) throw PythonError{};
        buffers_.push_back(buffer);
        if (reinterpret_cast<uintptr_t>(buffer.buf) % alignof(T) || buffer.len % sizeof(T)) refuse(" does not hold whole, aligned elements");
        return {static_cast<T*>(buffer.buf), buffer.len / static_cast<int64_t>(sizeof(T))};
    }
    int64_t number(int64_t least = 0) {
        const long long value = PyLong_AsLongLong(next());
        if (value == -1 && PyErr_Occurred()) throw PythonError{};
        if (value < least || value >= kMost) refuse(" is " + std::to_string(value) + ", out of range");
        return value;
    }
    int64_t signed_number() { return number(-kMost); }
    double fraction() {
        const double value = PyFloat_AsDouble(next());
        if (value == -1 && PyErr_Occurred()) throw PythonError{};
        if (!(value > 0 && value < kMost)) refuse(" is " + std::to_string(value) + ", out of range");
        return value;
    }
    bool flag() { return PyObject_IsTrue(next()) == 1; }

    static constexpr int64_t kMost = int64_t{1} << 31;  // so that a product of two extents never overflows

private:
    [[noreturn]] void refuse(const std::string& why) const { throw std::invalid_argument("argument " + std::to_string(at_) + why); }
    PyObject* next() {
        PyObject* item = PyTuple_GetItem(tuple_, at_++);
        if (!item) throw PythonError{};
        return item;
    }

    PyObject* tuple_;
    Py_ssize_t at_ = 0;
    std::deque<Py_buffer> buffers_;
};

// Work without the interpreter's lock; its exceptions become Python's.
class WithoutLock {
public:
    WithoutLock() : state_(PyEval_SaveThread()) {}
    ~WithoutLock() { PyEval_RestoreThread(state_); }

private:
    PyThreadState* state_;
};

// Call a binding and turn what it throws into Python's exceptions.
template <PyObject* (*binding)(Arguments&)>
PyObject* call(PyObject*, PyObject* tuple) {
    try {
        Arguments arguments(tuple);
        return binding(arguments);
    } catch (const Interrupted&) {
    } catch (const PythonError&) {
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    }
    return nullptr;
}

inline PyObject* none() {
    Py_INCREF(Py_None);
    return Py_None;
}

}  // namespace accelsim
